output "arn" {
  description = "ARN of the cluster."
  value       = aws_ecs_cluster.this.arn
}

output "name" {
  description = "Name of the cluster."
  value       = aws_ecs_cluster.this.name
}

output "namespace_arn" {
  description = "ARN of the namespace in which services find each other."
  value       = aws_service_discovery_http_namespace.this.arn
}
