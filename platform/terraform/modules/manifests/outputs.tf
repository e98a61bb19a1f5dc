output "environment" {
  description = "The environment: account, region, zones, domain, auth, tracing, platforms."
  value       = local.environment
}

output "services" {
  description = "The services by name, as this environment runs them, with every default filled in."
  value       = local.services
}

output "callers" {
  description = "The names of the services that call each service, by the callee's name."
  value       = local.callers
}

output "apis" {
  description = "The AWS APIs that tasks need an interface endpoint for, each with what it is for."
  value       = local.apis
}
