# The shell of one service: everything about it that does not depend on a
# release. The deploy kit reads the contract and owns revisions and, while
# nothing runs, the desired count; autoscaling owns it from then on.
resource "aws_ecs_service" "this" {
  name            = var.service.name
  cluster         = var.cluster.name
  task_definition = aws_ecs_task_definition.bootstrap.arn
  desired_count   = 0

  platform_version                   = "1.4.0"
  propagate_tags                     = "SERVICE"
  enable_ecs_managed_tags            = true
  enable_execute_command             = var.environment.exec
  availability_zone_rebalancing      = "ENABLED"
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = length(local.entries) > 0 ? 30 : null

  network_configuration {
    subnets          = var.network.subnet_ids
    security_groups  = [var.network.security_group_id]
    assign_public_ip = false
  }

  deployment_configuration {
    strategy             = upper(var.service.deploy.strategy)
    bake_time_in_minutes = var.service.deploy.bake_minutes

    dynamic "canary_configuration" {
      for_each = var.service.deploy.strategy == "canary" ? ["canary"] : []

      content {
        canary_percent              = 10
        canary_bake_time_in_minutes = 5
      }
    }
    dynamic "linear_configuration" {
      for_each = var.service.deploy.strategy == "linear" ? ["linear"] : []

      content {
        step_percent              = 20
        step_bake_time_in_minutes = 1
      }
    }
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  # Switched off rather than left out: the provider does not see it go.
  alarms {
    enable      = length(var.service.deploy.alarms) > 0
    rollback    = length(var.service.deploy.alarms) > 0
    alarm_names = [for alarm in var.service.deploy.alarms : "${local.full_name}-${alarm}"]
  }

  dynamic "load_balancer" {
    for_each = local.entries

    content {
      target_group_arn = aws_lb_target_group.this["${load_balancer.key}-1"].arn
      container_name   = var.service.name
      container_port   = local.ports[load_balancer.key]

      dynamic "advanced_configuration" {
        for_each = local.shifts ? ["shift"] : []

        content {
          alternate_target_group_arn = aws_lb_target_group.this["${load_balancer.key}-2"].arn
          production_listener_rule   = aws_lb_listener_rule.production[load_balancer.key].arn
          role_arn                   = aws_iam_role.traffic[0].arn
        }
      }
    }
  }

  dynamic "service_connect_configuration" {
    for_each = var.service.grpc != "" || length(var.service.calls) > 0 ? ["connect"] : []

    content {
      enabled   = true
      namespace = var.cluster.namespace_arn

      dynamic "service" {
        for_each = var.service.grpc != "" ? ["grpc"] : []

        content {
          port_name      = "grpc"
          discovery_name = var.service.name

          client_alias {
            dns_name = var.service.name
            port     = local.ports.grpc
          }
          timeout {
            per_request_timeout_seconds = 0 # streams last; deadlines travel with the requests
          }
        }
      }
    }
  }

  # The one place that says what is not Terraform's.
  lifecycle {
    ignore_changes = [task_definition, desired_count]
  }

  depends_on = [aws_iam_role_policy.execution, aws_iam_role_policy_attachment.traffic, aws_cloudwatch_metric_alarm.this, aws_lb_listener_rule.production]
}
