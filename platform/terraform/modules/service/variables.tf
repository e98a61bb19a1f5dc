variable "environment" {
  description = "The environment, as module manifests gives it."
  type = object({
    name    = string
    account = string
    region  = string
    auth    = object({ issuer = string, audience = string, jwks_url = string, token_url = string })
    tracing = object({ ratio = number })
    exec    = bool
  })
  nullable = false
}

variable "service" {
  description = "The service, as module manifests gives it."
  type = object({
    name     = string
    team     = string
    routes   = list(string)
    grpc     = string
    calls    = list(string)
    database = string
    secrets  = list(string)
    env      = map(string)
    size     = object({ cpu = number, memory = number, arch = string })
    scale    = object({ min = number, max = number, cpu = number, requests_per_task = number })
    deploy   = object({ strategy = string, alarms = list(string), bake_minutes = number })
    slo      = object({ availability = number, latency_p99_ms = number })
  })
  nullable = false

  validation {
    condition     = contains(["rolling", "blue_green", "canary", "linear"], var.service.deploy.strategy)
    error_message = "The strategy is rolling, blue_green, canary or linear."
  }
  validation {
    condition     = length(var.service.deploy.alarms) == 0 || (var.service.slo.availability > 0 && var.service.slo.latency_p99_ms > 0)
    error_message = "Alarms are made from the objectives: the manifest needs slo with availability and latency_p99."
  }
  validation {
    condition     = var.service.deploy.strategy == "rolling" || length(var.service.routes) > 0 || var.service.grpc != ""
    error_message = "A strategy that shifts traffic needs traffic: a service without routes and gRPC is rolled out rolling."
  }
}

variable "cluster" {
  description = "The ECS cluster: its name and the ARN of the namespace of Service Connect."
  type        = object({ name = string, namespace_arn = string })
  nullable    = false
}

variable "network" {
  description = "Where tasks run: the VPC, the task subnets, the security group of this service's tasks."
  type        = object({ vpc_id = string, subnet_ids = list(string), security_group_id = string })
  nullable    = false
}

variable "edge" {
  description = "The public entry: the HTTPS listener, the last part of the load balancer's ARN, and where services answer."
  type        = object({ listener_arn = string, load_balancer_arn_suffix = string, url = string })
  nullable    = false
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts logs and secrets."
  type        = string
  nullable    = false
}

variable "collector" {
  description = "Digest (sha256:...) of the OpenTelemetry collector in the account's repository mirror/otel-collector; null runs tasks without one."
  type        = string
  default     = null

  validation {
    condition     = var.collector == null || can(regex("^sha256:[0-9a-f]{64}$", var.collector))
    error_message = "The collector is named by its digest: sha256: and 64 hexadecimal digits."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of the policy that bounds every role made here; null sets none."
  type        = string
  default     = null
}

variable "log_retention_days" {
  description = "How long the service's logs are kept, in days."
  type        = number
  default     = 365
  nullable    = false
}

variable "alarm_topic_arn" {
  description = "ARN of the SNS topic that alarms are told to; null tells nobody."
  type        = string
  default     = null
}
