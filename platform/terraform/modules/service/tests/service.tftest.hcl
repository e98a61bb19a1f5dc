mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111111111111:role/mocked" }
  }
  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:targetgroup/mocked/1", arn_suffix = "targetgroup/mocked/1" }
  }
  mock_resource "aws_lb_listener_rule" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:listener-rule/app/mocked/1/1/1" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-central-1:111111111111:task-definition/mocked:1" }
  }
  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:mocked-abcdef" }
  }
}

variables {
  environment = {
    name    = "test"
    account = "111111111111"
    region  = "eu-central-1"
    auth    = { issuer = "https://login.example.com/", audience = "slipway-test", jwks_url = "https://login.example.com/keys", token_url = "https://login.example.com/token" }
    tracing = { ratio = 0.05 }
    exec    = false
  }
  service = {
    name     = "orders"
    team     = "checkout"
    routes   = ["/v1/orders*"]
    grpc     = "slipway.orders.v1.OrderService"
    calls    = ["catalog", "gift-cards"]
    database = "postgres"
    secrets  = ["orders/webhook-key"]
    env      = { LOG_LEVEL = "info" }
    size     = { cpu = 512, memory = 1024, arch = "arm64" }
    scale    = { min = 2, max = 10, cpu = 60, requests_per_task = 400 }
    deploy   = { strategy = "canary", alarms = ["errors", "latency"], bake_minutes = 5 }
    slo      = { availability = 99.9, latency_p99_ms = 300 }
  }
  cluster     = { name = "slipway-test", namespace_arn = "arn:aws:servicediscovery:eu-central-1:111111111111:namespace/ns-1" }
  network     = { vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"], security_group_id = "sg-orders" }
  edge        = { listener_arn = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:listener/app/slipway-test/1/1", load_balancer_arn_suffix = "app/slipway-test/1", url = "https://test.example.com" }
  kms_key_arn = "arn:aws:kms:eu-central-1:111111111111:key/1"
  collector   = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
}

run "a_canary_shifts_between_two_groups_of_each_protocol" {
  command = plan

  assert {
    condition     = aws_ecs_service.this.deployment_configuration[0].strategy == "CANARY" && aws_ecs_service.this.deployment_configuration[0].canary_configuration[0].canary_percent == 10
    error_message = "The strategy is not the manifest's."
  }
  assert {
    condition     = keys(aws_lb_target_group.this) == ["grpc-1", "grpc-2", "http-1", "http-2"]
    error_message = "A protocol does not have two target groups."
  }
  assert {
    condition     = alltrue([for lb in aws_ecs_service.this.load_balancer : length(lb.advanced_configuration) == 1])
    error_message = "A load balancer entry has no group to shift to."
  }
}

run "rolling_needs_no_role_to_shift_traffic" {
  command = plan
  variables {
    service = {
      name   = "orders", team = "", routes = ["/v1/orders*"], grpc = "", calls = [], database = "", secrets = [], env = {}
      size   = { cpu = 256, memory = 512, arch = "arm64" }, scale = { min = 1, max = 4, cpu = 0, requests_per_task = 0 }
      deploy = { strategy = "rolling", alarms = [], bake_minutes = 0 }, slo = { availability = 0, latency_p99_ms = 0 }
    }
  }

  assert {
    condition     = length(aws_iam_role.traffic) == 0 && alltrue([for lb in aws_ecs_service.this.load_balancer : length(lb.advanced_configuration) == 0])
    error_message = "A rolling service may shift traffic."
  }
  assert {
    condition     = !aws_ecs_service.this.alarms[0].enable && length(aws_cloudwatch_metric_alarm.this) == 0
    error_message = "There are alarms without objectives."
  }
  assert {
    condition     = length(local.secrets) == 0 && keys(aws_appautoscaling_policy.use) == ["memory"] && length(aws_appautoscaling_policy.requests) == 0
    error_message = "Something is made that the manifest does not ask for."
  }
}

run "a_bad_release_is_put_back" {
  command = plan

  assert {
    condition     = aws_ecs_service.this.deployment_circuit_breaker[0].enable && aws_ecs_service.this.deployment_circuit_breaker[0].rollback
    error_message = "The circuit breaker is off."
  }
  assert {
    condition     = aws_ecs_service.this.alarms[0].enable && aws_ecs_service.this.alarms[0].rollback && toset(aws_ecs_service.this.alarms[0].alarm_names) == toset(["slipway-test-orders-errors", "slipway-test-orders-latency"])
    error_message = "The alarms do not roll a deployment back."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["errors"].threshold > 1.43 && aws_cloudwatch_metric_alarm.this["errors"].threshold < 1.45 && aws_cloudwatch_metric_alarm.this["latency"].threshold == 300
    error_message = "The thresholds do not follow from the objectives."
  }
}

run "a_service_begins_with_no_task_and_is_never_shrunk_by_a_deployment" {
  command = plan

  assert {
    condition     = aws_ecs_service.this.desired_count == 0 && aws_ecs_service.this.deployment_minimum_healthy_percent == 100
    error_message = "The bootstrap revision would run, or a deployment takes tasks away before others are there."
  }
}

run "tasks_have_no_public_address" {
  command = plan

  assert {
    condition     = !aws_ecs_service.this.network_configuration[0].assign_public_ip && aws_ecs_service.this.network_configuration[0].security_groups == toset(["sg-orders"])
    error_message = "Tasks have a public address, or another group than their own."
  }
}

run "every_container_is_locked_down" {
  command = plan

  assert {
    condition = alltrue([
      for c in jsondecode(aws_ecs_task_definition.bootstrap.container_definitions) :
      c.readonlyRootFilesystem && c.user == "65532:65532" && c.linuxParameters.capabilities.drop == ["ALL"] && can(regex("^111111111111\\.dkr\\.ecr\\.eu-central-1\\.amazonaws\\.com/(slipway|mirror)/[a-z-]+@sha256:[0-9a-f]{64}$", c.image))
    ])
    error_message = "A container can write to its root, is root, has a capability, or comes from elsewhere."
  }
}

run "the_contract_leaves_the_image_open" {
  command = plan

  assert {
    condition     = [for c in jsondecode(aws_ssm_parameter.contract.value).task_definition.containerDefinitions : c.image if c.name == "orders"] == ["slipway:image"]
    error_message = "The contract names an image of the service."
  }
  assert {
    condition     = jsondecode(aws_ssm_parameter.contract.value).migration.command == ["migrate"] && jsondecode(aws_ssm_parameter.contract.value).desired_count == 2
    error_message = "The contract lacks the migration, or the number of tasks to begin with."
  }
}

run "callees_are_found_under_the_names_that_the_runtime_reads" {
  command = plan

  assert {
    condition     = local.variables["CATALOG_GRPC_ADDRESS"] == "catalog:9090" && local.variables["GIFT_CARDS_GRPC_ADDRESS"] == "gift-cards:9090"
    error_message = "A callee's address has another name or value."
  }
  assert {
    condition     = aws_ecs_service.this.service_connect_configuration[0].service[0].timeout[0].per_request_timeout_seconds == 0
    error_message = "Service Connect cuts streams off."
  }
}

run "secrets_come_from_secrets_manager_under_their_variables" {
  command = plan

  assert {
    condition     = keys(aws_secretsmanager_secret.this) == ["AUTH_CLIENT_SECRET", "DATABASE_SECRET", "WEBHOOK_KEY"]
    error_message = "A secret is missing, or has another variable."
  }
  assert {
    condition     = aws_secretsmanager_secret.this["WEBHOOK_KEY"].name == "slipway/test/orders/webhook-key" && aws_secretsmanager_secret.this["WEBHOOK_KEY"].kms_key_id == var.kms_key_arn
    error_message = "A secret has another name or key."
  }
}

run "the_execution_role_reads_the_service_s_own_things_alone" {
  command = plan

  assert {
    condition     = one([for s in data.aws_iam_policy_document.execution.statement : s.resources if s.sid == "PullImages"]) == toset(["arn:aws:ecr:eu-central-1:111111111111:repository/slipway/orders", "arn:aws:ecr:eu-central-1:111111111111:repository/mirror/otel-collector"])
    error_message = "The role pulls images of others, or not its own."
  }
  assert {
    condition     = one([for s in data.aws_iam_policy_document.execution.statement : s.resources if s.sid == "ReadSecrets"]) == toset([for s in values(aws_secretsmanager_secret.this) : s.arn])
    error_message = "The role reads secrets of others, or not its own."
  }
}

run "the_grpc_group_believes_only_a_service_that_serves" {
  command = plan

  assert {
    condition     = aws_lb_target_group.this["grpc-1"].protocol_version == "GRPC" && aws_lb_target_group.this["grpc-1"].health_check[0].matcher == "0"
    error_message = "A task whose health service is unimplemented counts as healthy."
  }
}

run "without_a_collector_nothing_of_it_is_left" {
  command = plan
  variables { collector = null }

  assert {
    condition     = length(jsondecode(aws_ecs_task_definition.bootstrap.container_definitions)) == 1 && length(aws_iam_role_policy.traces) == 0 && !contains(keys(local.variables), "OTEL_EXPORTER_OTLP_ENDPOINT")
    error_message = "Tasks send traces to a collector that they do not have."
  }
}

run "ecs_exec_and_a_read_only_root_exclude_each_other" {
  command = plan
  variables {
    environment = {
      name = "test", account = "111111111111", region = "eu-central-1", exec = true, tracing = { ratio = 0.05 }
      auth = { issuer = "", audience = "slipway-test", jwks_url = "", token_url = "" }
    }
  }

  assert {
    condition     = aws_ecs_service.this.enable_execute_command && !jsondecode(aws_ecs_task_definition.bootstrap.container_definitions)[0].readonlyRootFilesystem && length(aws_iam_role_policy.exec) == 1
    error_message = "ECS Exec is on where it cannot work, or the role lacks its sessions."
  }
}

run "a_tag_in_place_of_a_digest_is_refused" {
  command = plan
  variables { collector = "latest" }
  expect_failures = [var.collector]
}

run "an_unknown_strategy_is_refused" {
  command = plan
  variables {
    service = {
      name   = "orders", team = "", routes = ["/v1/orders*"], grpc = "", calls = [], database = "", secrets = [], env = {}
      size   = { cpu = 256, memory = 512, arch = "arm64" }, scale = { min = 1, max = 4, cpu = 0, requests_per_task = 0 }
      deploy = { strategy = "hope", alarms = [], bake_minutes = 0 }, slo = { availability = 0, latency_p99_ms = 0 }
    }
  }
  expect_failures = [var.service]
}

run "alarms_without_objectives_are_refused" {
  command = plan
  variables {
    service = {
      name   = "orders", team = "", routes = ["/v1/orders*"], grpc = "", calls = [], database = "", secrets = [], env = {}
      size   = { cpu = 256, memory = 512, arch = "arm64" }, scale = { min = 1, max = 4, cpu = 0, requests_per_task = 0 }
      deploy = { strategy = "rolling", alarms = ["errors"], bake_minutes = 0 }, slo = { availability = 0, latency_p99_ms = 0 }
    }
  }
  expect_failures = [var.service]
}

run "shifting_traffic_that_there_is_not_is_refused" {
  command = plan
  variables {
    service = {
      name   = "worker", team = "", routes = [], grpc = "", calls = [], database = "", secrets = [], env = {}
      size   = { cpu = 256, memory = 512, arch = "arm64" }, scale = { min = 1, max = 4, cpu = 0, requests_per_task = 0 }
      deploy = { strategy = "linear", alarms = [], bake_minutes = 0 }, slo = { availability = 0, latency_p99_ms = 0 }
    }
  }
  expect_failures = [var.service]
}
