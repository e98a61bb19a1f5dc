# Two target groups for each protocol: one serves, and the other takes the next
# release when traffic is shifted. ECS registers tasks and moves the weights.
resource "aws_lb_target_group" "this" {
  for_each = merge([for port in keys(local.entries) : {
    "${port}-1" = { entry = local.entries[port], port = port }
    "${port}-2" = { entry = local.entries[port], port = port }
  }]...)

  # At most 32 characters, and unique in the account.
  name             = "${substr(var.service.name, 0, 14)}-${each.key}-${substr(sha256("${local.full_name}/${each.key}"), 0, 8)}"
  vpc_id           = var.network.vpc_id
  target_type      = "ip"
  port             = local.ports[each.value.port]
  protocol         = each.value.entry.protocol
  protocol_version = each.value.entry.version

  # Tasks are told to stop when they are out of the group: streams end before.
  deregistration_delay          = 30
  load_balancing_algorithm_type = "least_outstanding_requests"

  health_check {
    path                = each.value.entry.path
    matcher             = each.value.entry.matcher # gRPC's default, 12, takes UNIMPLEMENTED for healthy
    interval            = 5
    timeout             = 4
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  tags = { Name = "${local.full_name}-${each.key}" }
}

# No priority is given: it is the next one that is free. Order does not matter,
# as no two services claim the same paths (the kit checks that).
resource "aws_lb_listener_rule" "production" {
  for_each = local.entries

  listener_arn = var.edge.listener_arn

  action {
    type = "forward"

    forward {
      target_group {
        arn    = aws_lb_target_group.this["${each.key}-1"].arn
        weight = 100
      }
      target_group {
        arn    = aws_lb_target_group.this["${each.key}-2"].arn
        weight = 0
      }
    }
  }
  condition {
    path_pattern {
      values = each.value.patterns
    }
  }

  # The weights are ECS's from the first deployment on.
  lifecycle {
    ignore_changes = [action[0].forward[0].target_group]
  }

  tags = { Name = "${local.full_name}-${each.key}" }
}
