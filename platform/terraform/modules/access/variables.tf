variable "name" {
  description = "Prefix of every name, such as slipway-staging."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "ID of the VPC."
  type        = string
  nullable    = false
}

variable "services" {
  description = "Who may reach whom: for each service the services that it calls, and whether it has REST routes, a gRPC service and a database."
  type = map(object({
    calls    = list(string)
    http     = bool
    grpc     = bool
    database = bool
  }))
  nullable = false

  validation {
    condition     = alltrue([for name, s in var.services : alltrue([for callee in s.calls : contains(keys(var.services), callee) && callee != name])])
    error_message = "A service calls one that does not exist, or itself."
  }
}

variable "ports" {
  description = "Ports that tasks listen on, and that of the databases."
  type        = object({ http = optional(number, 8080), grpc = optional(number, 9090), database = optional(number, 5432) })
  default     = {}
  nullable    = false
}
