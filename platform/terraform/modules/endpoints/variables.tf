variable "name" {
  description = "Prefix of every name, such as slipway-staging."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "ID of the VPC, which has DNS support and host names on."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "IDs of the subnets to put interface endpoints in, one a zone; each zone costs its hourly price for every endpoint."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 1
    error_message = "Give at least one subnet for the interface endpoints."
  }
}

variable "route_table_ids" {
  description = "IDs of the route tables of every subnet with tasks: S3 is reached through them."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.route_table_ids) >= 1
    error_message = "Give the route tables of the tasks' subnets: without them no image layer can be pulled."
  }
}

variable "apis" {
  description = "The AWS APIs to make an interface endpoint for, such as ecr.api or logs."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(setsubtract(["ecr.api", "ecr.dkr", "logs"], var.apis)) == 0
    error_message = "No task on Fargate starts without the endpoints ecr.api, ecr.dkr and logs."
  }
  validation {
    condition     = length(setsubtract(var.apis, ["ecr.api", "ecr.dkr", "logs", "secretsmanager", "ssm", "ssmmessages", "xray", "ecs-agent", "monitoring", "kms", "sts"])) == 0
    error_message = "There is an API among them whose endpoint policy is not written down here: add it to policies.tf. S3 has a gateway endpoint always."
  }
}

variable "clients" {
  description = "IDs of the security groups whose tasks may reach the endpoints, by service."
  type        = map(string)
  nullable    = false
}

variable "bucket_arns" {
  description = "ARNs of the platform's own buckets that tasks may read, besides the one that ECR keeps image layers in."
  type        = list(string)
  default     = []
  nullable    = false
}
