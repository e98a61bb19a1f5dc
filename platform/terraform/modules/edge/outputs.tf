output "load_balancer_arn" {
  description = "ARN of the load balancer."
  value       = aws_lb.this.arn
}

output "load_balancer_arn_suffix" {
  description = "Last part of the load balancer's ARN, by which CloudWatch knows it."
  value       = aws_lb.this.arn_suffix
}

output "https_listener_arn" {
  description = "ARN of the listener that services add their rules to."
  value       = aws_lb_listener.https.arn
}

output "url" {
  description = "Where the services answer."
  value       = "https://${var.domain}"
}
