variables {
  repository = "./tests/repository"
}

run "what_a_manifest_leaves_out_has_the_kit_s_default" {
  command = plan
  variables { environment = "plain" }

  assert {
    condition = (
      output.services["beta"].size == { arch = "arm64", cpu = 256, memory = 512 } &&
      output.services["beta"].scale.min == 1 && output.services["beta"].scale.max == 4 &&
      output.services["beta"].deploy.strategy == "rolling" && output.services["beta"].deploy.bake_minutes == 0
    )
    error_message = "A default differs from the kit's."
  }
  assert {
    condition     = output.services["alpha"].size.memory == 2048 && output.services["alpha"].scale.max == 6 && output.services["alpha"].deploy.bake_minutes == 5
    error_message = "A default that depends on another value is wrong."
  }
}

run "durations_are_read_as_go_writes_them" {
  command = plan
  variables { environment = "plain" }

  assert {
    condition     = output.services["alpha"].slo.latency_p99_ms == 90000
    error_message = "1m30s is not 90 s."
  }
}

run "an_environment_overrides_all_services_and_then_one" {
  command = plan
  variables { environment = "changed" }

  assert {
    condition     = output.services["alpha"].env == { LOG_LEVEL = "warn", MODE = "special" } && output.services["alpha"].size.memory == 1024 && output.services["alpha"].deploy.bake_minutes == 2
    error_message = "The overrides of one service are not applied."
  }
  assert {
    condition     = output.services["alpha"].scale.min == 2 && output.services["alpha"].scale.max == 3 && output.services["beta"].scale.max == 3
    error_message = "The overrides of all services are not applied."
  }
}

run "callers_are_found_from_calls" {
  command = plan
  variables { environment = "plain" }

  assert {
    condition     = output.callers["beta"] == tolist(["alpha"]) && length(output.callers["alpha"]) == 0
    error_message = "The callers are not those that declare a call."
  }
}

run "endpoints_follow_from_what_is_used" {
  command = plan
  variables { environment = "plain" }

  assert {
    condition     = keys(output.apis) == ["ecr.api", "ecr.dkr", "ecs-agent", "logs", "secretsmanager"]
    error_message = "Without tracing, and with calls, the endpoints are others."
  }
}

run "tracing_needs_an_endpoint_of_its_own" {
  command = plan
  variables { environment = "changed" }

  assert {
    condition     = contains(keys(output.apis), "xray") && !contains(keys(output.apis), "ssmmessages")
    error_message = "Tracing has no endpoint, or ECS Exec has one though it is off."
  }
}

run "an_environment_that_does_not_exist_is_refused" {
  command = plan
  variables { environment = "nowhere" }
  expect_failures = [var.environment]
}

run "a_folder_without_services_is_refused" {
  command = plan
  variables {
    repository  = "./tests"
    environment = "plain"
  }
  expect_failures = [var.repository]
}
