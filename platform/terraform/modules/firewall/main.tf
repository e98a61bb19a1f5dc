# What is turned away before it reaches a task. The capacity of the rules, in web
# ACL capacity units, stays below the 1,500 that the base price includes: 25 + 700
# + 200 + 200 and a few for the rules of our own.
# Source: AWS WAF Developer Guide, "AWS managed rule groups list", "Web ACL capacity units".
locals {
  managed = {
    ip-reputation    = { group = "AWSManagedRulesAmazonIpReputationList", priority = 10, count = [] }
    common           = { group = "AWSManagedRulesCommonRuleSet", priority = 20, count = ["SizeRestrictions_BODY", "NoUserAgent_HEADER"] }
    known-bad-inputs = { group = "AWSManagedRulesKnownBadInputsRuleSet", priority = 30, count = [] }
    sql-injection    = { group = "AWSManagedRulesSQLiRuleSet", priority = 40, count = [] }
  }

  # The label that the common rule set leaves on a body of more than 8 KB, which
  # it only counts: the rule below judges it by its path.
  large_body_label = "awswaf:managed:aws:core-rule-set:SizeRestrictions_Body"
}

resource "aws_wafv2_web_acl" "this" {
  name        = var.name
  description = "Guards the public load balancer."
  scope       = "REGIONAL"

  default_action {
    allow {}
  }

  rule {
    name     = "rate"
    priority = 0

    action {
      block {
        custom_response {
          response_code = 429
        }
      }
    }
    statement {
      rate_based_statement {
        limit                 = var.rate_limit
        aggregate_key_type    = "IP"
        evaluation_window_sec = 300
      }
    }
    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "${var.name}-rate"
      sampled_requests_enabled   = true
    }
  }

  dynamic "rule" {
    for_each = local.managed

    content {
      name     = rule.key
      priority = rule.value.priority

      override_action {
        none {}
      }
      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.value.group

          dynamic "rule_action_override" {
            for_each = rule.value.count

            content {
              name = rule_action_override.value
              action_to_use {
                count {}
              }
            }
          }
        }
      }
      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "${var.name}-${rule.key}"
        sampled_requests_enabled   = true
      }
    }
  }

  # Bodies beyond what can be inspected are turned away, except gRPC's, which are
  # framed and validated by the services, and those of the paths that take them.
  rule {
    name     = "large-bodies"
    priority = 50

    action {
      block {
        custom_response {
          response_code = 413
        }
      }
    }
    statement {
      and_statement {
        statement {
          label_match_statement {
            scope = "LABEL"
            key   = local.large_body_label
          }
        }
        statement {
          not_statement {
            statement {
              byte_match_statement {
                positional_constraint = "STARTS_WITH"
                search_string         = "application/grpc"

                field_to_match {
                  single_header {
                    name = "content-type"
                  }
                }
                text_transformation {
                  priority = 0
                  type     = "LOWERCASE"
                }
              }
            }
          }
        }
        dynamic "statement" {
          for_each = var.large_bodies

          content {
            not_statement {
              statement {
                byte_match_statement {
                  positional_constraint = "STARTS_WITH"
                  search_string         = statement.value

                  field_to_match {
                    uri_path {}
                  }
                  text_transformation {
                    priority = 0
                    type     = "NORMALIZE_PATH"
                  }
                }
              }
            }
          }
        }
      }
    }
    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "${var.name}-large-bodies"
      sampled_requests_enabled   = true
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.name
    sampled_requests_enabled   = true
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  resource_arn = var.load_balancer_arn
  web_acl_arn  = aws_wafv2_web_acl.this.arn
}

resource "aws_cloudwatch_log_group" "waf" {
  name              = "aws-waf-logs-${var.name}" # AWS WAF writes to groups of this prefix only
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  resource_arn            = aws_wafv2_web_acl.this.arn
  log_destination_configs = [aws_cloudwatch_log_group.waf.arn]

  dynamic "redacted_fields" {
    for_each = ["authorization", "cookie", "idempotency-key"]

    content {
      single_header {
        name = redacted_fields.value
      }
    }
  }

  # Requests that passed are in the load balancer's own log.
  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      condition {
        action_condition {
          action = "BLOCK"
        }
      }
      condition {
        action_condition {
          action = "COUNT"
        }
      }
    }
  }
}
