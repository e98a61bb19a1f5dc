# What platform/environments/NAME.yaml says, with the kit's defaults for the rest.
locals {
  file = yamldecode(file("${var.repository}/platform/environments/${var.environment}.yaml"))

  auth = {
    issuer    = try(local.file.auth.issuer, "")
    audience  = try(local.file.auth.audience, "slipway-${var.environment}")
    jwks_url  = try(local.file.auth.jwks_url, "")
    token_url = try(local.file.auth.token_url, "")
  }

  environment = {
    name      = var.environment
    account   = local.file.account
    region    = local.file.region
    zones     = try(local.file.zones, [])
    domain    = try(local.file.domain, "")
    auth      = local.auth
    tracing   = { ratio = try(local.file.tracing.ratio, 0.05) }
    exec      = try(local.file.exec, false)
    platforms = try(local.file.platforms, ["linux/arm64", "linux/amd64"])
  }
}
