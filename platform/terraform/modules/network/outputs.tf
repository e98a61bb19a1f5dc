output "vpc_id" {
  description = "ID of the VPC."
  value       = aws_vpc.this.id
}

output "cidr" {
  description = "IPv4 range of the VPC."
  value       = aws_vpc.this.cidr_block
}

output "public_subnet_ids" {
  description = "IDs of the load balancer's subnets, by zone."
  value       = { for zone, subnet in aws_subnet.public : zone => subnet.id }
}

output "task_subnet_ids" {
  description = "IDs of the tasks' and endpoints' subnets, by zone."
  value       = { for zone, subnet in aws_subnet.task : zone => subnet.id }
}

output "data_subnet_ids" {
  description = "IDs of the databases' subnets, by zone."
  value       = { for zone, subnet in aws_subnet.data : zone => subnet.id }
}

output "task_route_table_id" {
  description = "ID of the route table of the tasks' subnets, which S3's gateway endpoint is attached to."
  value       = aws_route_table.task.id
}
