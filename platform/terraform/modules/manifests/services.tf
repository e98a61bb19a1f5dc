# What services/NAME/service.yaml says, with the kit's defaults and then the
# environment's overrides: first those for all services, then the service's own.
locals {
  files = {
    for path in fileset("${var.repository}/services", "*/service.yaml") :
    dirname(path) => yamldecode(file("${var.repository}/services/${path}"))
  }

  overrides = {
    for name in keys(local.files) : name => [
      for layer in [try(local.file.all, null), try(local.file.services[name], null)] : layer if layer != null
    ]
  }

  # From the weakest to the strongest; what no layer sets is a default below.
  layers = {
    for name, file in local.files : name => {
      size   = concat([try(file.size, {})], [for o in local.overrides[name] : try(o.size, {})])
      scale  = concat([try(file.scale, {})], [for o in local.overrides[name] : try(o.scale, {})])
      deploy = concat([try(file.deploy, {})], [for o in local.overrides[name] : try(o.deploy, {})])
      env    = concat([try(file.env, {})], [for o in local.overrides[name] : try(o.env, {})])
    }
  }

  size   = { for name, layer in local.layers : name => merge({ cpu = 256, arch = "arm64" }, layer.size...) }
  scale  = { for name, layer in local.layers : name => merge({ min = 1 }, layer.scale...) }
  deploy = { for name, layer in local.layers : name => merge({ strategy = "rolling", alarms = [] }, layer.deploy...) }

  # Least memory that Fargate sells with a number of CPU units, in MiB.
  # Source: Amazon ECS Developer Guide, "Task CPU and memory".
  least_memory = { 256 = 512, 512 = 1024, 1024 = 2048, 2048 = 4096, 4096 = 8192, 8192 = 16384, 16384 = 32768 }

  services = {
    for name, file in local.files : name => {
      name     = name
      team     = try(file.team, "")
      routes   = try(file.http.routes, [])
      grpc     = try(file.grpc.service, "")
      calls    = try(file.calls, [])
      database = try(file.database.engine, "")
      secrets  = try(file.secrets, [])
      env      = merge(local.layers[name].env...)

      size = {
        cpu    = local.size[name].cpu
        memory = try(local.size[name].memory, local.least_memory[local.size[name].cpu])
        arch   = local.size[name].arch
      }
      scale = {
        min               = local.scale[name].min
        max               = try(local.scale[name].max, max(4, try(file.scale.min, 1), local.scale[name].min))
        cpu               = try(local.scale[name].cpu, 0)
        requests_per_task = try(local.scale[name].requests_per_task, 0)
      }
      deploy = {
        strategy     = local.deploy[name].strategy
        alarms       = local.deploy[name].alarms
        bake_minutes = floor(try(local.milliseconds[local.deploy[name].bake], local.deploy[name].strategy == "rolling" ? 0 : 300000) / 60000)
      }
      slo = {
        availability   = try(file.slo.availability, 0)
        latency_p99_ms = try(local.milliseconds[file.slo.latency_p99], 0)
      }
    }
  }

  # Every duration that a manifest has, as Go writes them (1h30m, 300ms).
  durations = toset(flatten([
    [for deploy in values(local.deploy) : try([deploy.bake], [])],
    [for file in values(local.files) : try([file.slo.latency_p99], [])],
  ]))
  unit_ms = { h = 3600000, m = 60000, s = 1000, ms = 1, us = 0.001, ns = 0.000001 }
  milliseconds = {
    for text in local.durations : text => sum(concat([0], [
      for part in regexall("([0-9.]+)(h|ms|m|us|s|ns)", text) : tonumber(part[0]) * local.unit_ms[part[1]]
    ]))
  }

  callers = {
    for callee in keys(local.services) : callee => sort([
      for name, service in local.services : name if contains(service.calls, callee)
    ])
  }
}
