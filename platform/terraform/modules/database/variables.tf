variable "name" {
  description = "Name of the server, such as slipway-staging."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,61}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "The name must be a DB instance identifier: lower-case letters, digits and single dashes, at most 63."
  }
}

variable "subnet_ids" {
  description = "IDs of the data subnets, in at least two zones."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "A DB subnet group needs subnets in two zones."
  }
}

variable "security_group_id" {
  description = "ID of the security group of the server."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the data, its backups, the insights and the master secret."
  type        = string
  nullable    = false
}

variable "engine_version" {
  description = "Major version of PostgreSQL; minor ones follow by themselves."
  type        = string
  default     = "17"
  nullable    = false

  validation {
    condition     = contains(["15", "16", "17"], var.engine_version)
    error_message = "PostgreSQL 15, 16 or 17: the versions that the services are tested with and that force TLS by default."
  }
}

variable "instance_class" {
  description = "Class of the instance, with a Graviton processor."
  type        = string
  default     = "db.t4g.medium"
  nullable    = false

  validation {
    condition     = can(regex("^db\\.[a-z]+[0-9]+gd?\\.[0-9a-z]+$", var.instance_class))
    error_message = "The instance class must be one with a Graviton processor, such as db.t4g.medium or db.m7g.large."
  }
}

variable "storage_gib" {
  description = "Storage at the beginning and at most, in GiB; it grows by itself."
  type        = object({ initial = optional(number, 20), maximum = optional(number, 200) })
  default     = {}
  nullable    = false

  validation {
    condition     = var.storage_gib.initial >= 20 && var.storage_gib.maximum >= var.storage_gib.initial * 1.1
    error_message = "At least 20 GiB at the beginning, and a maximum that is at least a tenth above it (Amazon RDS, storage autoscaling)."
  }
}

variable "high_availability" {
  description = "Whether a standby in another zone takes over when the server or its zone fails."
  type        = bool
  default     = true
  nullable    = false
}

variable "protected" {
  description = "Whether the server refuses to be deleted, and leaves a last snapshot."
  type        = bool
  default     = true
  nullable    = false
}

variable "backup_days" {
  description = "How far back the server can be restored to any second, in days."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 35
    error_message = "Backups are kept for 7 to 35 days: a bug may take a week to be noticed, and 35 is the most that RDS keeps."
  }
}

variable "log_retention_days" {
  description = "How long the server's logs are kept, in days."
  type        = number
  default     = 365
  nullable    = false
}
