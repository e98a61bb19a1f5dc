output "security_group_id" {
  description = "ID of the security group of the interface endpoints."
  value       = aws_security_group.endpoints.id
}

output "s3_prefix_list_id" {
  description = "ID of S3's prefix list, to which tasks may speak."
  value       = aws_vpc_endpoint.s3.prefix_list_id
}

output "apis" {
  description = "The APIs that have an interface endpoint, sorted."
  value       = sort(tolist(var.apis))
}
