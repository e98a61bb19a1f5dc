output "load_balancer_security_group_id" {
  description = "ID of the load balancer's security group."
  value       = aws_security_group.load_balancer.id
}

output "task_security_group_ids" {
  description = "IDs of the tasks' security groups, by service."
  value       = { for name, group in aws_security_group.task : name => group.id }
}

output "database_security_group_id" {
  description = "ID of the database server's security group; null when no service has a database."
  value       = one(aws_security_group.database[*].id)
}
