mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111111111111" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:loadbalancer/app/slipway-test/1" }
  }
  mock_resource "aws_lb_listener" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:listener/app/slipway-test/1/1" }
  }
  mock_resource "aws_acm_certificate" {
    defaults = {
      arn = "arn:aws:acm:eu-central-1:111111111111:certificate/1"
      domain_validation_options = [{
        domain_name           = "test.example.com"
        resource_record_name  = "_1.test.example.com"
        resource_record_type  = "CNAME"
        resource_record_value = "_2.acm-validations.aws"
      }]
    }
  }
  mock_resource "aws_acm_certificate_validation" {
    defaults = { certificate_arn = "arn:aws:acm:eu-central-1:111111111111:certificate/1" }
  }
}

variables {
  name              = "slipway-test"
  vpc_id            = "vpc-1"
  subnet_ids        = ["subnet-1", "subnet-2"]
  security_group_id = "sg-1"
  domain            = "test.example.com"
  zone_id           = "Z1"
}

run "plain_http_is_only_redirected" {
  command = plan

  assert {
    condition     = aws_lb_listener.http.default_action[0].type == "redirect" && aws_lb_listener.http.default_action[0].redirect[0].protocol == "HTTPS"
    error_message = "Plain HTTP gets another answer than a redirect to HTTPS."
  }
}

run "tls_is_modern_and_ready_for_quantum_computers" {
  command = plan

  assert {
    condition     = startswith(aws_lb_listener.https.ssl_policy, "ELBSecurityPolicy-TLS13-1-2-Res-PQ-")
    error_message = "The listener's policy is not the one with TLS 1.3 and hybrid key exchange."
  }
  assert {
    condition     = aws_acm_certificate.this.domain_name == "test.example.com" && aws_acm_certificate.this.validation_method == "DNS"
    error_message = "The certificate is for another name, or not validated by DNS."
  }
}

run "what_no_service_takes_is_not_found" {
  command = plan

  assert {
    condition     = aws_lb_listener.https.default_action[0].fixed_response[0].status_code == "404"
    error_message = "A path of no service gets another answer than 404."
  }
}

run "the_load_balancer_is_strict_about_requests" {
  command = plan

  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.desync_mitigation_mode == "strictest" && aws_lb.this.enable_deletion_protection && !aws_lb.this.internal
    error_message = "Invalid headers pass, or desynchronised requests, or the load balancer can be deleted."
  }
}

run "browsers_get_their_headers" {
  command = plan

  assert {
    condition     = aws_lb_listener.https.routing_http_response_x_content_type_options_header_value == "nosniff" && strcontains(aws_lb_listener.https.routing_http_response_strict_transport_security_header_value, "max-age=63072000")
    error_message = "A response header for browsers is missing."
  }
}

run "accesses_and_connections_are_logged" {
  command = plan

  assert {
    condition     = aws_lb.this.access_logs[0].enabled && aws_lb.this.connection_logs[0].enabled
    error_message = "Accesses or connections are not logged."
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.logs.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "The load balancer cannot write to a bucket with another key than S3's own."
  }
}

run "the_log_bucket_is_closed_and_kept" {
  command = plan

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.logs.block_public_acls, aws_s3_bucket_public_access_block.logs.block_public_policy,
      aws_s3_bucket_public_access_block.logs.ignore_public_acls, aws_s3_bucket_public_access_block.logs.restrict_public_buckets,
    ])
    error_message = "The log bucket may be made public."
  }
  assert {
    condition     = data.aws_iam_policy_document.logs.statement[2].effect == "Deny"
    error_message = "The log bucket takes requests without TLS."
  }
  assert {
    condition     = !aws_s3_bucket.logs.force_destroy
    error_message = "The logs of a protected load balancer go with it."
  }
}

run "one_subnet_is_refused" {
  command = plan
  variables { subnet_ids = ["subnet-1"] }
  expect_failures = [var.subnet_ids]
}

run "a_domain_that_is_none_is_refused" {
  command = plan
  variables { domain = "localhost" }
  expect_failures = [var.domain]
}

run "a_name_too_long_for_a_load_balancer_is_refused" {
  command = plan
  variables { name = "slipway-with-a-name-that-is-too-long" }
  expect_failures = [var.name]
}

run "an_idle_timeout_out_of_range_is_refused" {
  command = plan
  variables { idle_timeout_seconds = 5000 }
  expect_failures = [var.idle_timeout_seconds]
}

run "logs_for_a_few_days_only_are_refused" {
  command = plan
  variables { log_retention_days = 7 }
  expect_failures = [var.log_retention_days]
}
