variable "name" {
  description = "Name of the cluster, such as slipway-staging."
  type        = string
  nullable    = false
}

variable "spot_share" {
  description = "Share of the tasks, in percent, that run on Fargate Spot, beyond the first of each service."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.spot_share >= 0 && var.spot_share <= 100
    error_message = "The share of Fargate Spot is 0 to 100 percent."
  }
}

variable "exec" {
  description = "Whether ECS Exec may be used; its sessions are logged and encrypted."
  type        = bool
  default     = false
  nullable    = false
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts logs and sessions."
  type        = string
  nullable    = false
}

variable "log_retention_days" {
  description = "How long the logs of ECS Exec sessions are kept, in days."
  type        = number
  default     = 365
  nullable    = false
}
