mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111111111111" }
  }
}

variables {
  name        = "slipway-test"
  description = "Everything of the environment test."
  services    = ["sns", "events"]
}

run "a_key_is_rotated_and_not_gone_in_a_hurry" {
  command = plan

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30
    error_message = "The key is not rotated, or can be deleted within a month."
  }
}

run "log_groups_and_services_of_the_account_use_it" {
  command = plan

  assert {
    condition     = data.aws_iam_policy_document.key.statement[*].sid == tolist(["AccountAdministers", "LogGroups", "Services"])
    error_message = "The key's policy lacks a statement, or has one too many."
  }
  assert {
    condition     = data.aws_iam_policy_document.key.statement[2].principals == toset([{ type = "Service", identifiers = toset(["events.amazonaws.com", "sns.amazonaws.com"]) }])
    error_message = "The services are others than those given."
  }
}

run "a_key_that_no_service_uses_by_itself_names_none" {
  command = plan
  variables {
    services = []
    logs     = false
  }

  assert {
    condition     = data.aws_iam_policy_document.key.statement[*].sid == tolist(["AccountAdministers"])
    error_message = "The key's policy lets a service in that nobody asked for."
  }
}

run "an_alias_of_aws_s_own_is_refused" {
  command = plan
  variables { name = "aws/rds" }
  expect_failures = [var.name]
}
