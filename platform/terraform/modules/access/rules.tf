locals {
  with_database = toset([for name, service in var.services : name if service.database])

  # "orders/catalog" for each declared call; Service Connect's proxy of the
  # callee listens on the container's own port.
  calls = merge([
    for caller, service in var.services : {
      for callee in service.calls : "${caller}/${callee}" => { caller = caller, callee = callee }
    }
  ]...)

  # "orders/http" for each port that the load balancer sends requests to.
  fronts = merge([
    for name, service in var.services : {
      for protocol, served in { http = service.http, grpc = service.grpc } :
      "${name}/${protocol}" => { service = name, port = var.ports[protocol], protocol = protocol } if served
    }
  ]...)
}

resource "aws_vpc_security_group_ingress_rule" "public" {
  for_each = { https = 443, http = 80 }

  security_group_id = aws_security_group.load_balancer.id
  description       = each.key == "https" ? "HTTPS from everywhere" : "HTTP from everywhere, answered with a redirect to HTTPS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

resource "aws_vpc_security_group_egress_rule" "front" {
  for_each = local.fronts

  security_group_id            = aws_security_group.load_balancer.id
  description                  = "${each.value.protocol} to tasks of ${each.value.service}"
  referenced_security_group_id = aws_security_group.task[each.value.service].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "front" {
  for_each = local.fronts

  security_group_id            = aws_security_group.task[each.value.service].id
  description                  = "${each.value.protocol} from the load balancer"
  referenced_security_group_id = aws_security_group.load_balancer.id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "call" {
  for_each = local.calls

  security_group_id            = aws_security_group.task[each.value.caller].id
  description                  = "gRPC to tasks of ${each.value.callee}"
  referenced_security_group_id = aws_security_group.task[each.value.callee].id
  ip_protocol                  = "tcp"
  from_port                    = var.ports.grpc
  to_port                      = var.ports.grpc
}

resource "aws_vpc_security_group_ingress_rule" "call" {
  for_each = local.calls

  security_group_id            = aws_security_group.task[each.value.callee].id
  description                  = "gRPC from tasks of ${each.value.caller}"
  referenced_security_group_id = aws_security_group.task[each.value.caller].id
  ip_protocol                  = "tcp"
  from_port                    = var.ports.grpc
  to_port                      = var.ports.grpc
}

resource "aws_vpc_security_group_egress_rule" "database" {
  for_each = local.with_database

  security_group_id            = aws_security_group.task[each.key].id
  description                  = "PostgreSQL to the database server"
  referenced_security_group_id = aws_security_group.database[0].id
  ip_protocol                  = "tcp"
  from_port                    = var.ports.database
  to_port                      = var.ports.database
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  for_each = local.with_database

  security_group_id            = aws_security_group.database[0].id
  description                  = "PostgreSQL from tasks of ${each.key}"
  referenced_security_group_id = aws_security_group.task[each.key].id
  ip_protocol                  = "tcp"
  from_port                    = var.ports.database
  to_port                      = var.ports.database
}
