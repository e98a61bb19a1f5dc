variable "name" {
  description = "Name of the load balancer and prefix of every other name, such as slipway-staging."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,26}[a-z0-9]$", var.name))
    error_message = "The name must be 3 to 28 lower-case letters, digits and dashes: a load balancer's has at most 32."
  }
}

variable "vpc_id" {
  description = "ID of the VPC."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "IDs of the public subnets, one in each of at least two zones."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "A load balancer needs subnets in two zones."
  }
}

variable "security_group_id" {
  description = "ID of the load balancer's security group."
  type        = string
  nullable    = false
}

variable "domain" {
  description = "DNS name under which the services answer, such as staging.example.com."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "The domain must be a DNS name such as staging.example.com."
  }
}

variable "zone_id" {
  description = "ID of the Route 53 hosted zone that the domain is in."
  type        = string
  nullable    = false
}

variable "protected" {
  description = "Whether the load balancer refuses to be deleted, and its logs are kept on destroy."
  type        = bool
  default     = true
  nullable    = false
}

variable "idle_timeout_seconds" {
  description = "How long a connection may be silent, in seconds: longer than the gaps in streams, shorter than the services' keepalive."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = var.idle_timeout_seconds >= 1 && var.idle_timeout_seconds <= 4000
    error_message = "The idle timeout is 1 to 4000 seconds (Elastic Load Balancing, \"Load balancer attributes\")."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept, in days."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = var.log_retention_days >= 30
    error_message = "Keep logs for at least 30 days."
  }
}
