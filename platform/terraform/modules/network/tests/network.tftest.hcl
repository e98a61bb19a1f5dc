mock_provider "aws" {
  override_during = plan

  mock_resource "aws_vpc" {
    defaults = { id = "vpc-1", default_route_table_id = "rtb-default" }
  }
  mock_resource "aws_route_table" {
    defaults = { id = "rtb-1" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111111111111" }
  }
}

variables {
  name        = "slipway-test"
  zones       = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  kms_key_arn = "arn:aws:kms:eu-central-1:111111111111:key/1"
}

run "every_zone_has_one_subnet_of_each_kind" {
  command = plan

  assert {
    condition     = length(aws_subnet.public) == 3 && length(aws_subnet.task) == 3 && length(aws_subnet.data) == 3
    error_message = "Three zones need three subnets of each kind."
  }
  assert {
    condition     = length(distinct([for s in concat(values(aws_subnet.public), values(aws_subnet.task), values(aws_subnet.data)) : s.cidr_block])) == 9
    error_message = "Two subnets have the same range."
  }
}

run "no_subnet_gives_its_members_public_addresses" {
  command = plan

  assert {
    condition     = !anytrue([for s in concat(values(aws_subnet.public), values(aws_subnet.task), values(aws_subnet.data)) : s.map_public_ip_on_launch])
    error_message = "A subnet gives out public addresses."
  }
}

run "only_the_public_route_table_leads_out" {
  command = plan

  override_resource {
    target          = aws_route_table.public
    override_during = plan
    values          = { id = "rtb-public" }
  }

  assert {
    condition     = aws_route.internet.route_table_id == "rtb-public" && aws_route.internet.destination_cidr_block == "0.0.0.0/0"
    error_message = "The route to the internet is not in the public route table."
  }
  assert {
    condition     = alltrue([for a in concat(values(aws_route_table_association.task), values(aws_route_table_association.data)) : a.route_table_id != "rtb-public"])
    error_message = "A subnet with tasks or databases uses the public route table."
  }
  assert {
    condition     = alltrue([for a in values(aws_route_table_association.public) : a.route_table_id == "rtb-public"])
    error_message = "A public subnet does not use the public route table."
  }
}

run "what_has_no_group_or_table_of_its_own_reaches_nothing" {
  command = plan

  assert {
    condition     = length(aws_default_security_group.this.ingress) == 0 && length(aws_default_security_group.this.egress) == 0
    error_message = "The default security group has a rule."
  }
  assert {
    condition     = length(aws_default_route_table.this.route) == 0
    error_message = "The main route table has a route."
  }
}

run "all_traffic_is_logged_encrypted_and_kept" {
  command = plan

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_flow_log.this.vpc_id == "vpc-1"
    error_message = "Not all of the VPC's traffic is logged."
  }
  assert {
    condition     = aws_cloudwatch_log_group.flow.retention_in_days == 365 && aws_cloudwatch_log_group.flow.kms_key_id == var.kms_key_arn
    error_message = "The flow logs are not kept for a year, or not encrypted with the given key."
  }
}

run "one_zone_is_refused" {
  command = plan
  variables { zones = ["eu-central-1a"] }
  expect_failures = [var.zones]
}

run "a_zone_given_twice_is_refused" {
  command = plan
  variables { zones = ["eu-central-1a", "eu-central-1a"] }
  expect_failures = [var.zones]
}

run "a_public_range_is_refused" {
  command = plan
  variables { cidr = "52.0.0.0/16" }
  expect_failures = [var.cidr]
}

run "a_range_of_another_size_is_refused" {
  command = plan
  variables { cidr = "10.0.0.0/20" }
  expect_failures = [var.cidr]
}

run "a_retention_that_cloudwatch_lacks_is_refused" {
  command = plan
  variables { log_retention_days = 100 }
  expect_failures = [var.log_retention_days]
}

run "an_upper_case_name_is_refused" {
  command = plan
  variables { name = "Slipway" }
  expect_failures = [var.name]
}
