# A customer managed key. Roles use it by their own policies; AWS services that
# act on nobody's behalf are named in the key's policy, for this account alone.
data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_region" "this" {}

resource "aws_kms_key" "this" {
  description             = var.description
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

data "aws_iam_policy_document" "key" {
  # Without it nobody could change the key any more; "*" is this key.
  # Source: AWS KMS Developer Guide, "Default key policy".
  statement {
    sid       = "AccountAdministers"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.this.partition}:iam::${data.aws_caller_identity.this.account_id}:root"]
    }
  }

  # Source: Amazon CloudWatch Logs User Guide, "Encrypt log data using AWS KMS".
  dynamic "statement" {
    for_each = var.logs ? ["logs"] : []

    content {
      sid = "LogGroups"
      actions = [
        "kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo",
        "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey",
      ]
      resources = ["*"]

      principals {
        type        = "Service"
        identifiers = ["logs.${data.aws_region.this.region}.amazonaws.com"]
      }
      condition {
        test     = "ArnLike"
        variable = "kms:EncryptionContext:aws:logs:arn"
        values   = ["arn:${data.aws_partition.this.partition}:logs:${data.aws_region.this.region}:${data.aws_caller_identity.this.account_id}:log-group:*"]
      }
    }
  }

  dynamic "statement" {
    for_each = length(var.services) > 0 ? ["services"] : []

    content {
      sid       = "Services"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = ["*"]

      principals {
        type        = "Service"
        identifiers = [for service in sort(tolist(var.services)) : "${service}.amazonaws.com"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [data.aws_caller_identity.this.account_id]
      }
    }
  }
}
