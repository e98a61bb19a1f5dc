# A VPC of three kinds of subnets in every zone:
#
#   public  the load balancer, and nothing else; the only way out and in
#   task    tasks and interface endpoints; no route beyond the VPC but to S3
#   data    databases; no route beyond the VPC
#
# There is no NAT gateway and no egress-only gateway.
resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = var.name }
}

# Whatever is put into the VPC without a security group or a route table of its
# own can reach nothing and be reached by nothing.
resource "aws_default_security_group" "this" {
  vpc_id  = aws_vpc.this.id
  ingress = []
  egress  = []

  tags = { Name = "${var.name}-default" }
}

resource "aws_default_route_table" "this" {
  default_route_table_id = aws_vpc.this.default_route_table_id
  route                  = []

  tags = { Name = "${var.name}-default" }
}
