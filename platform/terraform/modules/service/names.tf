# Names are built from what is known before anything is made, so that a plan
# shows task definitions and policies whole.
locals {
  full_name  = "slipway-${var.environment.name}-${var.service.name}"
  arn_prefix = "arn:aws:%s:${var.environment.region}:${var.environment.account}:%s"
  registry   = "${var.environment.account}.dkr.ecr.${var.environment.region}.amazonaws.com"
  repository = "slipway/${var.service.name}"
  log_group  = "/slipway/${var.environment.name}/${var.service.name}"

  # What tasks listen on; the platform's runtime reads the same ports.
  ports = { http = 8080, grpc = 9090, internal = 9091 }

  # One entry for each protocol that the load balancer speaks to tasks.
  entries = merge(
    length(var.service.routes) == 0 ? {} : { http = {
      protocol = "HTTP", version = "HTTP1", path = "/healthz", matcher = "200"
      patterns = var.service.routes
    } },
    var.service.grpc == "" ? {} : { grpc = {
      protocol = "HTTP", version = "GRPC", path = "/grpc.health.v1.Health/Check", matcher = "0"
      patterns = ["/${var.service.grpc}/*"]
    } },
  )

  shifts = var.service.deploy.strategy != "rolling"
}
