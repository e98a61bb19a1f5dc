# In a /16 each /20 is a sixteenth: the first is cut into public /24s, the second
# into data /24s, and each zone's tasks have one of those that follow.
locals {
  zone_number = { for i, zone in var.zones : zone => i }
}

resource "aws_subnet" "public" {
  for_each = local.zone_number

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.cidr, 8, each.value)
  map_public_ip_on_launch = false

  tags = { Name = "${var.name}-public-${each.key}", Tier = "public" }
}

resource "aws_subnet" "data" {
  for_each = local.zone_number

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.cidr, 8, 16 + each.value)
  map_public_ip_on_launch = false

  tags = { Name = "${var.name}-data-${each.key}", Tier = "data" }
}

resource "aws_subnet" "task" {
  for_each = local.zone_number

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.cidr, 4, 2 + each.value)
  map_public_ip_on_launch = false

  tags = { Name = "${var.name}-task-${each.key}", Tier = "task" }
}
