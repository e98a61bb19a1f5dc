variable "name" {
  description = "Name of the web ACL and prefix of every other name, such as slipway-staging."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9-]{1,100}$", var.name))
    error_message = "The name must be 1 to 100 letters, digits and dashes."
  }
}

variable "load_balancer_arn" {
  description = "ARN of the load balancer that the web ACL guards."
  type        = string
  nullable    = false
}

variable "rate_limit" {
  description = "Requests from one address in five minutes above which it is turned away."
  type        = number
  default     = 10000
  nullable    = false

  validation {
    condition     = var.rate_limit >= 10 && var.rate_limit <= 2000000000
    error_message = "The rate limit is 10 to 2,000,000,000 requests (AWS WAF, \"Rate-based rule statement\")."
  }
}

variable "large_bodies" {
  description = "Path prefixes whose bodies may exceed the 8 KB that AWS WAF inspects, such as uploads; gRPC's may always."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for prefix in var.large_bodies : startswith(prefix, "/")])
    error_message = "A path prefix begins with a slash."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the web ACL's logs."
  type        = string
  nullable    = false
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
