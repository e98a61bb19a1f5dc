output "repositories" {
  description = "URIs and ARNs of the repositories, by name."
  value       = { for name, repository in aws_ecr_repository.this : name => { uri = repository.repository_url, arn = repository.arn } }
}
