# The public entry: one load balancer that speaks TLS, redirects plain HTTP, sets
# the response headers that browsers want, and answers 404 for what no service's
# rule takes. Services add listener rules; see the service module.
resource "aws_lb" "this" { #trivy:ignore:AVD-AWS-0053 public entry by design: TLS, a web ACL, and a security group that leads to tasks alone
  name               = var.name
  load_balancer_type = "application"
  internal           = false
  subnets            = var.subnet_ids
  security_groups    = [var.security_group_id]

  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = var.protected
  enable_http2               = true
  idle_timeout               = var.idle_timeout_seconds
  xff_header_processing_mode = "append"

  access_logs {
    bucket  = aws_s3_bucket.logs.bucket
    prefix  = "access"
    enabled = true
  }
  connection_logs {
    bucket  = aws_s3_bucket.logs.bucket
    prefix  = "connection"
    enabled = true
  }

  depends_on = [aws_s3_bucket_policy.logs]
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      protocol    = "HTTPS"
      port        = "443"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  certificate_arn   = aws_acm_certificate_validation.this.certificate_arn

  # TLS 1.3 and 1.2 with hybrid post-quantum key exchange (ML-KEM).
  # Source: Elastic Load Balancing, "Security policies for your Application Load Balancer".
  ssl_policy = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"

  # Source: OWASP HTTP Headers Cheat Sheet; the answers are JSON, never pages.
  routing_http_response_strict_transport_security_header_value = "max-age=63072000; includeSubDomains"
  routing_http_response_x_content_type_options_header_value    = "nosniff"
  routing_http_response_x_frame_options_header_value           = "DENY"
  routing_http_response_server_enabled                         = false

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "application/json"
      status_code  = "404"
      message_body = jsonencode({ code = 5, message = "no service has this path", details = [] })
    }
  }
}
