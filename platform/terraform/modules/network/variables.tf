variable "name" {
  description = "Prefix of every name, such as slipway-staging."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "The name must be 3 to 32 lower-case letters, digits and dashes, beginning with a letter."
  }
}

variable "zones" {
  description = "Availability zones to have subnets in, 2 to 6: a load balancer needs two."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 6 && length(distinct(var.zones)) == length(var.zones)
    error_message = "Give 2 to 6 different availability zones: a load balancer needs two (Elastic Load Balancing, \"Availability Zones\")."
  }
}

variable "cidr" {
  description = "Private IPv4 range of the VPC, a /16: room for 4091 task addresses in each zone."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && endswith(var.cidr, "/16")
    error_message = "The range must be a /16 such as 10.0.0.0/16."
  }
  validation {
    condition     = anytrue([for private in ["10.", "192.168."] : startswith(var.cidr, private)]) || can(regex("^172\\.(1[6-9]|2[0-9]|3[01])\\.", var.cidr))
    error_message = "The range must be private: within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 (RFC 1918)."
  }
}

variable "log_retention_days" {
  description = "How long flow logs are kept, in days."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch Logs keeps events for certain numbers of days only, such as 30, 90 or 365 (PutRetentionPolicy)."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the flow logs; its policy lets CloudWatch Logs use it."
  type        = string
  nullable    = false
}
