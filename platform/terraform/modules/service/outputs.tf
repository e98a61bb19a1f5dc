output "contract_parameter" {
  description = "Name of the SSM parameter from which the deploy kit takes over."
  value       = aws_ssm_parameter.contract.name
}

output "contract" {
  description = "The contract, decoded."
  value       = local.contract
}

output "execution_role_arn" {
  description = "ARN of the role with which ECS starts the tasks."
  value       = aws_iam_role.execution.arn
}

output "task_role_arn" {
  description = "ARN of the role of the tasks."
  value       = aws_iam_role.task.arn
}

output "secret_arns" {
  description = "ARNs of the secrets, by the variable that tasks find them in."
  value       = { for variable, secret in aws_secretsmanager_secret.this : variable => secret.arn }
}
