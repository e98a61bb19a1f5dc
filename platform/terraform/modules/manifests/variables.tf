variable "repository" {
  description = "Path of the repository's root, where services/ and platform/environments/ are."
  type        = string
  nullable    = false

  validation {
    condition     = length(fileset("${var.repository}/services", "*/service.yaml")) > 0
    error_message = "There is no services/NAME/service.yaml below the repository path: give the path of the repository's root."
  }
}

variable "environment" {
  description = "Name of the environment: that of a file in platform/environments, without .yaml."
  type        = string
  nullable    = false

  validation {
    condition     = var.environment != "local" && fileexists("${var.repository}/platform/environments/${var.environment}.yaml")
    error_message = "There is no such environment file in platform/environments, or it is that of the embedded cluster: name another, such as staging."
  }
}
