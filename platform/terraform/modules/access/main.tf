# Who may reach whom: a security group for the load balancer, one for the tasks
# of each service and one for the database server. Each rule names a group at its
# other end. Tasks reach AWS by rules that the endpoints module adds; nothing
# reaches the internet.
resource "aws_security_group" "load_balancer" {
  name        = "${var.name}-load-balancer"
  description = "Public load balancer: HTTPS in, tasks out."
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-load-balancer" }
}

resource "aws_security_group" "task" {
  for_each = var.services

  name        = "${var.name}-${each.key}"
  description = "Tasks of ${each.key}."
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-${each.key}", Service = each.key }
}

# One database server holds the databases of all services; roles keep them apart.
resource "aws_security_group" "database" {
  count = length(local.with_database) > 0 ? 1 : 0

  name        = "${var.name}-database"
  description = "Database server: only services with a database reach it."
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-database" }
}
