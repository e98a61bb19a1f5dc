# The AWS APIs that tasks in private subnets call, each with what it is for. The
# endpoints module makes one interface endpoint for each; S3, from which image
# layers come, has a gateway endpoint always.
# Sources: Amazon ECR User Guide, "Amazon ECR interface VPC endpoints"; Amazon ECS
# Developer Guide, "Amazon ECS interface VPC endpoints": tasks on Fargate need
# neither ecs nor ecs-telemetry.
locals {
  reads_secrets = anytrue([
    for service in values(local.services) : service.database != "" || length(service.secrets) > 0 || length(service.calls) > 0
  ])
  calls_services = anytrue([for service in values(local.services) : length(service.calls) > 0])

  apis = merge(
    {
      "ecr.api" = "log in to the image registry"
      "ecr.dkr" = "pull images"
      "logs"    = "write logs"
    },
    local.reads_secrets ? { "secretsmanager" = "read the secrets of tasks" } : {},
    local.environment.tracing.ratio > 0 ? { "xray" = "write traces" } : {},
    local.calls_services ? { "ecs-agent" = "manage Service Connect's proxies" } : {},
    local.environment.exec ? { "ssmmessages" = "ECS Exec" } : {},
  )
}
