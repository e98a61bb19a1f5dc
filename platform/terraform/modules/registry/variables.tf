variable "repositories" {
  description = "Names of the image repositories: slipway/SERVICE for services, mirror/NAME for images of others."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for name in var.repositories : can(regex("^(slipway|mirror)/[a-z0-9]+([._/-][a-z0-9]+)*$", name))])
    error_message = "A repository is named slipway/SERVICE or mirror/NAME, in lower-case letters, digits and ._/-"
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the images."
  type        = string
  nullable    = false
}

variable "keep" {
  description = "How many releases of each service are kept; those that are older expire."
  type        = number
  default     = 200
  nullable    = false

  validation {
    condition     = var.keep >= 20 && var.keep <= 5000
    error_message = "Keep 20 to 5000 releases: fewer would soon leave nothing to roll back to."
  }
}
