mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "111111111111" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_security_group" {
    defaults = { id = "sg-endpoints" }
  }
  mock_resource "aws_vpc_endpoint" {
    defaults = { prefix_list_id = "pl-s3" }
  }
}

variables {
  name            = "slipway-test"
  vpc_id          = "vpc-1"
  subnet_ids      = ["subnet-1", "subnet-2"]
  route_table_ids = ["rtb-task"]
  apis            = ["ecr.api", "ecr.dkr", "logs", "secretsmanager", "xray"]
  clients         = { catalog = "sg-catalog", orders = "sg-orders" }
}

run "each_api_has_an_endpoint_that_answers_under_its_own_name" {
  command = plan

  assert {
    condition     = keys(aws_vpc_endpoint.interface) == ["ecr.api", "ecr.dkr", "logs", "secretsmanager", "xray"]
    error_message = "The endpoints are not those that were asked for."
  }
  assert {
    condition     = alltrue([for e in values(aws_vpc_endpoint.interface) : e.private_dns_enabled && e.vpc_endpoint_type == "Interface"])
    error_message = "An endpoint has no private DNS name: tasks would look for the API on the internet."
  }
  assert {
    condition     = aws_vpc_endpoint.interface["ecr.dkr"].service_name == "com.amazonaws.eu-central-1.ecr.dkr"
    error_message = "The name of the endpoint's service is wrong."
  }
}

run "s3_is_reached_through_the_tasks_route_tables" {
  command = plan

  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3.route_table_ids == toset(["rtb-task"])
    error_message = "S3 has no gateway endpoint in the route table of the tasks."
  }
}

run "only_the_bucket_of_image_layers_can_be_read" {
  command = plan

  assert {
    condition     = jsondecode(aws_vpc_endpoint.s3.policy).Statement[*].Resource == [["arn:aws:s3:::prod-eu-central-1-starport-layer-bucket/*"]]
    error_message = "The policy of S3's endpoint lets more through than image layers."
  }
}

run "own_buckets_are_added_when_named" {
  command = plan
  variables { bucket_arns = ["arn:aws:s3:::slipway-test-assets"] }

  assert {
    condition     = jsondecode(aws_vpc_endpoint.s3.policy).Statement[1].Resource == ["arn:aws:s3:::slipway-test-assets/*"]
    error_message = "The named bucket cannot be read."
  }
}

run "only_roles_of_the_account_may_ask_and_only_what_tasks_need" {
  command = plan

  assert {
    condition = alltrue([
      for e in values(aws_vpc_endpoint.interface) : alltrue([
        for s in jsondecode(e.policy).Statement : s.Condition.StringEquals["aws:PrincipalAccount"] == "111111111111" && !anytrue([for a in s.Action : strcontains(a, "*")])
      ])
    ])
    error_message = "An endpoint's policy has a wildcard action, or no condition on the account."
  }
}

run "the_image_of_guardduty_s_agent_can_be_pulled" {
  command = plan

  assert {
    condition     = alltrue([for api in ["ecr.api", "ecr.dkr"] : jsondecode(aws_vpc_endpoint.interface[api].policy).Statement[0].Resource == "*"])
    error_message = "ECR's endpoints are narrowed to some repositories, which keeps GuardDuty's agent out."
  }
}

run "each_service_reaches_the_endpoints_and_s3_by_https_alone" {
  command = plan

  assert {
    condition = alltrue([for name in ["catalog", "orders"] :
      aws_vpc_security_group_egress_rule.clients[name].security_group_id == var.clients[name] &&
      aws_vpc_security_group_egress_rule.clients[name].referenced_security_group_id == "sg-endpoints" &&
      aws_vpc_security_group_egress_rule.clients[name].from_port == 443 &&
      aws_vpc_security_group_egress_rule.s3[name].prefix_list_id == "pl-s3" &&
      aws_vpc_security_group_ingress_rule.clients[name].referenced_security_group_id == var.clients[name]
    ])
    error_message = "A rule between tasks and endpoints is missing."
  }
}

run "an_endpoint_that_no_task_starts_without_is_missed" {
  command = plan
  variables { apis = ["ecr.api", "logs"] }
  expect_failures = [var.apis]
}

run "an_api_without_a_policy_is_refused" {
  command = plan
  variables { apis = ["ecr.api", "ecr.dkr", "logs", "bedrock"] }
  expect_failures = [var.apis]
}

run "no_subnet_is_refused" {
  command = plan
  variables { subnet_ids = [] }
  expect_failures = [var.subnet_ids]
}

run "no_route_table_is_refused" {
  command = plan
  variables { route_table_ids = [] }
  expect_failures = [var.route_table_ids]
}
