# What the deploy kit has to know; package contract of the kit says what each
# member means. It is the last thing made: who can read it finds the rest.
locals {
  contract = {
    version         = 1
    environment     = var.environment.name
    service         = var.service.name
    cluster         = var.cluster.name
    ecs_service     = var.service.name
    family          = local.full_name
    repository      = local.repository
    container       = var.service.name
    log_group       = local.log_group
    url             = var.edge.url
    desired_count   = max(var.service.scale.min, 1)
    migration       = var.service.database == "" ? null : { command = ["migrate"] }
    network         = { subnets = var.network.subnet_ids, security_groups = [var.network.security_group_id], assign_public_ip = false }
    target_groups   = [for port in keys(local.entries) : { arn = aws_lb_target_group.this["${port}-1"].arn, container_name = var.service.name, container_port = local.ports[port] }]
    task_definition = local.template
  }
}

resource "aws_ssm_parameter" "contract" {
  name        = "/slipway/${var.environment.name}/services/${var.service.name}/contract"
  description = "How the deploy kit runs ${var.service.name} in ${var.environment.name}; it holds no secret."
  type        = "String"
  tier        = "Intelligent-Tiering"
  value       = jsonencode(local.contract)

  depends_on = [aws_ecs_service.this]
}
