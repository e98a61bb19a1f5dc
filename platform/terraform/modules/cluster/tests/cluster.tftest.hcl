mock_provider "aws" {
  override_during = plan
}

variables {
  name        = "slipway-test"
  kms_key_arn = "arn:aws:kms:eu-central-1:111111111111:key/1"
}

run "everything_is_fargate_and_watched" {
  command = plan

  assert {
    condition     = one(aws_ecs_cluster.this.setting).value == "enhanced"
    error_message = "Container Insights is off."
  }
  assert {
    condition     = aws_ecs_cluster_capacity_providers.this.capacity_providers == toset(["FARGATE", "FARGATE_SPOT"])
    error_message = "There is capacity other than Fargate's."
  }
}

run "without_a_share_nothing_runs_on_spot" {
  command = plan

  assert {
    condition     = [for s in aws_ecs_cluster_capacity_providers.this.default_capacity_provider_strategy : s.capacity_provider] == ["FARGATE"]
    error_message = "Tasks may land on Spot though no share is set."
  }
}

run "the_first_task_is_never_on_spot" {
  command = plan
  variables { spot_share = 70 }

  assert {
    condition     = one([for s in aws_ecs_cluster_capacity_providers.this.default_capacity_provider_strategy : s.base if s.capacity_provider == "FARGATE"]) == 1
    error_message = "The first task may be on Spot."
  }
  assert {
    condition     = one([for s in aws_ecs_cluster_capacity_providers.this.default_capacity_provider_strategy : s.weight if s.capacity_provider == "FARGATE_SPOT"]) == 70
    error_message = "The share of Spot is another."
  }
}

run "exec_is_off_unless_asked_for" {
  command = plan

  assert {
    condition     = length(aws_ecs_cluster.this.configuration) == 0 && length(aws_cloudwatch_log_group.exec) == 0
    error_message = "ECS Exec is configured though nobody asked for it."
  }
}

run "sessions_of_exec_are_logged_and_encrypted" {
  command = plan
  variables { exec = true }

  assert {
    condition     = aws_ecs_cluster.this.configuration[0].execute_command_configuration[0].kms_key_id == var.kms_key_arn && aws_cloudwatch_log_group.exec[0].kms_key_id == var.kms_key_arn
    error_message = "Sessions are not encrypted with the given key."
  }
}

run "a_share_beyond_a_hundred_is_refused" {
  command = plan
  variables { spot_share = 101 }
  expect_failures = [var.spot_share]
}
