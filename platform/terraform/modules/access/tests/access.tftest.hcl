mock_provider "aws" {
  override_during = plan
}

variables {
  name   = "slipway-test"
  vpc_id = "vpc-1"
  services = {
    catalog = { calls = [], http = true, grpc = true, database = true }
    mailer  = { calls = [], http = false, grpc = true, database = false }
    orders  = { calls = ["catalog"], http = true, grpc = true, database = true }
  }
}

run "calls_open_both_ends_and_nothing_else" {
  command = plan

  assert {
    condition     = keys(aws_vpc_security_group_egress_rule.call) == ["orders/catalog"] && keys(aws_vpc_security_group_ingress_rule.call) == ["orders/catalog"]
    error_message = "The rules between services are not the declared calls."
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.call["orders/catalog"].from_port == 9090
    error_message = "A call does not lead to the gRPC port."
  }
}

run "only_services_with_a_database_reach_the_server" {
  command = plan

  assert {
    condition     = keys(aws_vpc_security_group_ingress_rule.database) == ["catalog", "orders"] && keys(aws_vpc_security_group_egress_rule.database) == ["catalog", "orders"]
    error_message = "The database server is open to a service without a database."
  }
}

run "the_load_balancer_reaches_what_is_served_and_no_more" {
  command = plan

  assert {
    condition     = keys(aws_vpc_security_group_egress_rule.front) == ["catalog/grpc", "catalog/http", "mailer/grpc", "orders/grpc", "orders/http"]
    error_message = "The load balancer's rules do not fit what the services serve."
  }
}

run "nothing_but_the_load_balancer_is_open_to_the_world" {
  command = plan

  assert {
    condition     = sort([for r in values(aws_vpc_security_group_ingress_rule.public) : tostring(r.from_port)]) == tolist(["443", "80"])
    error_message = "The world reaches more than the ports 80 and 443."
  }
  assert {
    condition = alltrue([
      for r in concat(values(aws_vpc_security_group_egress_rule.call), values(aws_vpc_security_group_egress_rule.database), values(aws_vpc_security_group_egress_rule.front)) :
      r.cidr_ipv4 == null && r.cidr_ipv6 == null
    ])
    error_message = "A rule leads to addresses rather than to a group."
  }
}

run "without_databases_there_is_no_group_for_them" {
  command = plan
  variables {
    services = { mailer = { calls = [], http = false, grpc = true, database = false } }
  }

  assert {
    condition     = length(aws_security_group.database) == 0 && output.database_security_group_id == null
    error_message = "There is a security group for a database server that nobody uses."
  }
}

run "a_call_to_a_service_that_does_not_exist_is_refused" {
  command = plan
  variables {
    services = { orders = { calls = ["nobody"], http = true, grpc = true, database = true } }
  }
  expect_failures = [var.services]
}
