output "address" {
  description = "DNS name of the server."
  value       = aws_db_instance.this.address
}

output "port" {
  description = "Port of the server."
  value       = aws_db_instance.this.port
}

output "resource_id" {
  description = "ID of the server that IAM knows it by."
  value       = aws_db_instance.this.resource_id
}

output "master_secret_arn" {
  description = "ARN of the secret with the master password, which RDS rotates."
  value       = one(aws_db_instance.this.master_user_secret[*].secret_arn)
}
