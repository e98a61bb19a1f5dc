# The ECS cluster of an environment: Fargate alone, with Container Insights and
# the namespace in which services find each other by Service Connect.
resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enhanced"
  }

  service_connect_defaults {
    namespace = aws_service_discovery_http_namespace.this.arn
  }

  dynamic "configuration" {
    for_each = var.exec ? ["exec"] : []

    content {
      execute_command_configuration {
        kms_key_id = var.kms_key_arn
        logging    = "OVERRIDE"

        log_configuration {
          cloud_watch_encryption_enabled = true
          cloud_watch_log_group_name     = aws_cloudwatch_log_group.exec[0].name
        }
      }
    }
  }
}

# The first task of each service is never on Spot, which AWS may take away.
resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]

  default_capacity_provider_strategy {
    capacity_provider = "FARGATE"
    base              = 1
    weight            = 100 - var.spot_share
  }

  dynamic "default_capacity_provider_strategy" {
    for_each = var.spot_share > 0 ? ["spot"] : []

    content {
      capacity_provider = "FARGATE_SPOT"
      weight            = var.spot_share
    }
  }
}

resource "aws_service_discovery_http_namespace" "this" {
  name        = var.name
  description = "Services of ${var.name} find each other here."
}

resource "aws_cloudwatch_log_group" "exec" {
  count = var.exec ? 1 : 0

  name              = "/${var.name}/exec"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}
