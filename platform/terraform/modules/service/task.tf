# The task definition that every release is rendered from. Its image is left
# open in the contract; the bootstrap revision names one that is never pulled.
locals {
  placeholder = "slipway:image"

  variables = merge(
    {
      SERVICE_NAME   = var.service.name
      ENVIRONMENT    = var.environment.name
      BIND_ADDRESS   = "0.0.0.0"
      HTTP_PORT      = tostring(local.ports.http)
      GRPC_PORT      = tostring(local.ports.grpc)
      INTERNAL_PORT  = tostring(local.ports.internal)
      STREAM_MAX_AGE = "20s" # below the deregistration delay of 30 s
      AUTH_ISSUER    = var.environment.auth.issuer
      AUTH_AUDIENCE  = var.environment.auth.audience
      AUTH_JWKS_URL  = var.environment.auth.jwks_url
    },
    var.service.database == "" ? {} : { DATABASE_SSLMODE = "verify-full" },
    length(var.service.calls) == 0 ? {} : {
      AUTH_TOKEN_URL = var.environment.auth.token_url
      AUTH_CLIENT_ID = var.service.name
    },
    var.collector == null ? {} : {
      OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:4318"
      OTEL_TRACES_SAMPLER         = "parentbased_traceidratio"
      OTEL_TRACES_SAMPLER_ARG     = tostring(var.environment.tracing.ratio)
    },
    { for callee in var.service.calls : "${upper(replace(callee, "-", "_"))}_GRPC_ADDRESS" => "${callee}:${local.ports.grpc}" },
    var.service.env,
  )

  log_configuration = {
    logDriver = "awslogs"
    options = {
      "awslogs-group"         = local.log_group
      "awslogs-region"        = var.environment.region
      "awslogs-stream-prefix" = var.service.name
      "mode"                  = "non-blocking"
      "max-buffer-size"       = "4m"
    }
  }

  # ECS Exec writes to the root file system and does not work with a read-only one.
  # Source: Amazon ECS Developer Guide, "Monitor Amazon ECS containers with ECS Exec".
  container = {
    name                   = var.service.name
    image                  = local.placeholder
    essential              = true
    user                   = "65532:65532"
    readonlyRootFilesystem = !var.environment.exec
    stopTimeout            = 60
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    portMappings = [
      { name = "http", containerPort = local.ports.http, protocol = "tcp", appProtocol = "http" },
      { name = "grpc", containerPort = local.ports.grpc, protocol = "tcp", appProtocol = "grpc" },
    ]
    environment      = [for name in sort(keys(local.variables)) : { name = name, value = local.variables[name] }]
    secrets          = [for name in sort(keys(local.secrets)) : { name = name, valueFrom = format(local.arn_prefix, "secretsmanager", "secret:${local.secrets[name].name}") }]
    logConfiguration = local.log_configuration
  }

  # Spans go to the collector over loopback, and from it to X-Ray.
  collector_config = yamlencode({
    receivers  = { otlp = { protocols = { http = { endpoint = "127.0.0.1:4318" } } } }
    processors = { batch = { timeout = "1s" }, memory_limiter = { check_interval = "1s", limit_mib = 48 } }
    exporters  = { awsxray = { region = var.environment.region, indexed_attributes = ["aws.local.service", "rpc.method"] } }
    service    = { pipelines = { traces = { receivers = ["otlp"], processors = ["memory_limiter", "batch"], exporters = ["awsxray"] } } }
  })
  collector = {
    name                   = "collector"
    image                  = "${local.registry}/mirror/otel-collector@${coalesce(var.collector, "sha256:none")}"
    essential              = false
    user                   = "65532:65532"
    readonlyRootFilesystem = true
    memoryReservation      = 64
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    command                = ["--config=env:COLLECTOR_CONFIG"]
    environment            = [{ name = "COLLECTOR_CONFIG", value = local.collector_config }]
    logConfiguration       = local.log_configuration
  }

  containers = concat([local.container], var.collector == null ? [] : [local.collector])

  template = {
    family                  = local.full_name
    networkMode             = "awsvpc"
    requiresCompatibilities = ["FARGATE"]
    cpu                     = tostring(var.service.size.cpu)
    memory                  = tostring(var.service.size.memory)
    runtimePlatform         = { cpuArchitecture = var.service.size.arch == "arm64" ? "ARM64" : "X86_64", operatingSystemFamily = "LINUX" }
    executionRoleArn        = "arn:aws:iam::${var.environment.account}:role/${local.full_name}-execution"
    taskRoleArn             = "arn:aws:iam::${var.environment.account}:role/${local.full_name}-task"
    containerDefinitions    = local.containers
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = local.log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

# The revision that the service is made with. It never runs: the service begins
# with no task, and the deploy kit registers every later revision.
resource "aws_ecs_task_definition" "bootstrap" {
  family                   = "${local.full_name}-bootstrap"
  network_mode             = "awsvpc"
  requires_compatibilities = ["FARGATE"]
  cpu                      = local.template.cpu
  memory                   = local.template.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  skip_destroy             = true
  container_definitions = jsonencode([
    for container in local.containers : merge(container, {
      image = container.image == local.placeholder ? "${local.registry}/${local.repository}@sha256:${sha256("bootstrap")}" : container.image
    })
  ])

  runtime_platform {
    cpu_architecture        = local.template.runtimePlatform.cpuArchitecture
    operating_system_family = "LINUX"
  }
}
