# What the service is told in confidence. The values are put in by others: the
# database's by the bootstrap task, the rest by people; none is in any state.
locals {
  secrets = merge(
    var.service.database == "" ? {} : {
      DATABASE_SECRET = { name = "slipway/${var.environment.name}/${var.service.name}/database", what = "Login to its database" }
    },
    length(var.service.calls) == 0 ? {} : {
      AUTH_CLIENT_SECRET = { name = "slipway/${var.environment.name}/${var.service.name}/oauth-client", what = "Its secret at the token issuer" }
    },
    {
      for listed in var.service.secrets :
      upper(replace(trimprefix(listed, "${var.service.name}/"), "/[/.+=@-]/", "_")) => { name = "slipway/${var.environment.name}/${listed}", what = "Secret ${listed} of its manifest" }
    },
  )
}

resource "aws_secretsmanager_secret" "this" {
  for_each = local.secrets

  name                    = each.value.name
  description             = "${each.value.what}, for ${var.service.name} in ${var.environment.name}."
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 7
}
