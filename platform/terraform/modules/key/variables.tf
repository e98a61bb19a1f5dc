variable "name" {
  description = "Name of the key's alias, such as slipway-staging."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9/_-]{1,200}$", var.name)) && !startswith(var.name, "aws/")
    error_message = "An alias has letters, digits, slashes, dashes and underscores, and does not begin with aws/."
  }
}

variable "description" {
  description = "What the key encrypts."
  type        = string
  nullable    = false
}

variable "services" {
  description = "AWS services that use the key by themselves, such as sns or events; for log groups see logs."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "logs" {
  description = "Whether CloudWatch Logs may encrypt log groups of the account with the key."
  type        = bool
  default     = true
  nullable    = false
}
