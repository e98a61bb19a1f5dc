mock_provider "aws" {
  override_during = plan

  mock_resource "aws_wafv2_web_acl" {
    defaults = { arn = "arn:aws:wafv2:eu-central-1:111111111111:regional/webacl/slipway-test/1" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:111111111111:log-group:aws-waf-logs-slipway-test" }
  }
}

variables {
  name              = "slipway-test"
  load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:loadbalancer/app/slipway-test/1"
  kms_key_arn       = "arn:aws:kms:eu-central-1:111111111111:key/1"
}

run "the_web_acl_holds_every_rule_and_guards_the_load_balancer" {
  command = plan

  assert {
    condition     = toset([for r in aws_wafv2_web_acl.this.rule : r.name]) == toset(["rate", "ip-reputation", "common", "known-bad-inputs", "sql-injection", "large-bodies"])
    error_message = "A rule is missing from the web ACL."
  }
  assert {
    condition     = aws_wafv2_web_acl_association.this.resource_arn == var.load_balancer_arn
    error_message = "The web ACL guards something else."
  }
}

run "secrets_are_left_out_of_the_web_acl_s_log" {
  command = plan

  assert {
    condition     = toset([for f in aws_wafv2_web_acl_logging_configuration.this.redacted_fields : f.single_header[0].name]) == toset(["authorization", "cookie", "idempotency-key"])
    error_message = "A header with a secret is logged."
  }
  assert {
    condition     = startswith(aws_cloudwatch_log_group.waf.name, "aws-waf-logs-") && aws_cloudwatch_log_group.waf.kms_key_id == var.kms_key_arn
    error_message = "AWS WAF cannot write to the group, or it is not encrypted."
  }
}

run "uploads_are_let_through_on_their_paths_alone" {
  command = plan
  variables { large_bodies = ["/v1/images"] }

  assert {
    condition     = length(one([for r in aws_wafv2_web_acl.this.rule : r if r.name == "large-bodies"]).statement[0].and_statement[0].statement) == 3
    error_message = "The rule about large bodies has no exception for the path."
  }
}

run "a_rate_limit_below_what_waf_takes_is_refused" {
  command = plan
  variables { rate_limit = 5 }
  expect_failures = [var.rate_limit]
}

run "a_path_without_a_slash_is_refused" {
  command = plan
  variables { large_bodies = ["uploads"] }
  expect_failures = [var.large_bodies]
}

run "logs_for_a_few_days_only_are_refused" {
  command = plan
  variables { log_retention_days = 7 }
  expect_failures = [var.log_retention_days]
}

run "a_name_with_a_space_is_refused" {
  command = plan
  variables { name = "slipway test" }
  expect_failures = [var.name]
}
