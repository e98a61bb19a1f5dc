resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${var.cluster.name}/${aws_ecs_service.this.name}"
  min_capacity       = var.service.scale.min
  max_capacity       = var.service.scale.max
}

# Memory has a bound of its own: a task that fills up is killed.
resource "aws_appautoscaling_policy" "use" {
  for_each = merge(
    var.service.scale.cpu == 0 ? {} : { cpu = { metric = "ECSServiceAverageCPUUtilization", target = var.service.scale.cpu } },
    { memory = { metric = "ECSServiceAverageMemoryUtilization", target = 80 } },
  )

  name               = "${local.full_name}-${each.key}"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = each.value.target
    scale_out_cooldown = 30
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = each.value.metric
    }
  }
}

# The predefined metric looks at one target group, and either of two may serve.
resource "aws_appautoscaling_policy" "requests" {
  count = var.service.scale.requests_per_task > 0 && length(local.entries) > 0 ? 1 : 0

  name               = "${local.full_name}-requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.service.scale.requests_per_task
    scale_out_cooldown = 30
    scale_in_cooldown  = 300

    customized_metric_specification {
      metrics {
        id          = "per_task"
        expression  = "(${join(" + ", [for key in keys(local.groups) : "FILL(requests_${key}, 0)"])}) / tasks"
        label       = "Requests per minute and task"
        return_data = true
      }
      metrics {
        id          = "tasks"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dimensions {
              name  = "ClusterName"
              value = var.cluster.name
            }
            dimensions {
              name  = "ServiceName"
              value = var.service.name
            }
          }
        }
      }
      dynamic "metrics" {
        for_each = local.groups

        content {
          id          = "requests_${metrics.key}"
          return_data = false

          metric_stat {
            stat = "Sum"

            metric {
              namespace   = "AWS/ApplicationELB"
              metric_name = "RequestCount"

              dimensions {
                name  = "LoadBalancer"
                value = var.edge.load_balancer_arn_suffix
              }
              dimensions {
                name  = "TargetGroup"
                value = metrics.value
              }
            }
          }
        }
      }
    }
  }
}
