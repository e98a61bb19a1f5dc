# Alarms of the objectives: they roll a deployment back and tell people. Both
# target groups count, as either may serve.
locals {
  groups = { for key, group in aws_lb_target_group.this : replace(key, "-", "_") => group.arn_suffix }

  # 14.4 times the error budget's pace, as the kit's manifest package has it.
  # Source: Google, The Site Reliability Workbook, "Alerting on SLOs".
  error_percent = min(100, 14.4 * (100 - var.service.slo.availability))

  alarms = {
    errors = {
      what       = "Too many of the requests to ${var.service.name} fail: more than ${local.error_percent} %."
      expression = "100 * (${join(" + ", [for key in keys(local.groups) : "FILL(errors_${key}, 0)"])}) / (${join(" + ", [for key in keys(local.groups) : "FILL(requests_${key}, 0)"])})"
      threshold  = local.error_percent
      metrics = merge([for key, suffix in local.groups : {
        "errors_${key}"   = { name = "HTTPCode_Target_5XX_Count", stat = "Sum", group = suffix }
        "requests_${key}" = { name = "RequestCount", stat = "Sum", group = suffix }
      }]...)
    }
    latency = {
      what       = "Answers of ${var.service.name} take too long: the 99th percentile is above ${var.service.slo.latency_p99_ms} ms."
      expression = "1000 * MAX([${join(", ", [for key in keys(local.groups) : "latency_${key}"])}])"
      threshold  = var.service.slo.latency_p99_ms
      metrics    = { for key, suffix in local.groups : "latency_${key}" => { name = "TargetResponseTime", stat = "p99", group = suffix } }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = { for name, alarm in local.alarms : name => alarm if contains(var.service.deploy.alarms, name) && length(local.entries) > 0 }

  alarm_name          = "${local.full_name}-${each.key}"
  alarm_description   = each.value.what
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = 2
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]
  ok_actions          = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]

  metric_query {
    id          = "judged"
    expression  = each.value.expression
    label       = each.key
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/ApplicationELB"
        metric_name = metric_query.value.name
        period      = 60
        stat        = metric_query.value.stat
        dimensions = {
          LoadBalancer = var.edge.load_balancer_arn_suffix
          TargetGroup  = metric_query.value.group
        }
      }
    }
  }
}
