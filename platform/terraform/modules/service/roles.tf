# Two roles of the service's own: with one ECS starts its tasks, with the other
# the tasks themselves speak to AWS. A third lets ECS move its traffic.
data "aws_iam_policy_document" "tasks_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.environment.account]
    }
    # Source: Amazon ECS Developer Guide, "Amazon ECS task IAM role", confused deputy.
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = [format(local.arn_prefix, "ecs", "*")]
    }
  }
}

resource "aws_iam_role" "execution" {
  name                 = "${local.full_name}-execution"
  description          = "ECS starts tasks of ${var.service.name} with it: image, logs, secrets."
  assume_role_policy   = data.aws_iam_policy_document.tasks_trust.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # it takes no resource
  }
  statement {
    sid     = "PullImages"
    actions = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
    resources = concat(
      [format(local.arn_prefix, "ecr", "repository/${local.repository}")],
      var.collector == null ? [] : [format(local.arn_prefix, "ecr", "repository/mirror/otel-collector")],
    )
  }
  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${format(local.arn_prefix, "logs", "log-group:${local.log_group}")}:log-stream:*"] # named by the log driver
  }

  dynamic "statement" {
    for_each = length(local.secrets) > 0 ? ["secrets"] : []

    content {
      sid       = "ReadSecrets"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [for secret in aws_secretsmanager_secret.this : secret.arn]
    }
  }
  dynamic "statement" {
    for_each = length(local.secrets) > 0 ? ["secrets"] : []

    content {
      sid       = "DecryptSecrets"
      actions   = ["kms:Decrypt"]
      resources = [var.kms_key_arn]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["secretsmanager.${var.environment.region}.amazonaws.com"]
      }
    }
  }
}

resource "aws_iam_role" "task" {
  name                 = "${local.full_name}-task"
  description          = "Tasks of ${var.service.name} speak to AWS with it."
  assume_role_policy   = data.aws_iam_policy_document.tasks_trust.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "traces" {
  count = var.collector == null ? 0 : 1

  name   = "traces"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.traces.json
}

data "aws_iam_policy_document" "traces" {
  statement {
    sid       = "WriteTraces"
    actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"]
    resources = ["*"] # they take no resource
  }
}

resource "aws_iam_role_policy" "exec" {
  count = var.environment.exec ? 1 : 0

  name   = "exec"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.exec.json
}

data "aws_iam_policy_document" "exec" {
  statement {
    sid       = "Sessions"
    actions   = ["ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"]
    resources = ["*"] # they take no resource
  }
}

# Source: Amazon ECS Developer Guide, "Amazon ECS infrastructure IAM role for load balancers".
resource "aws_iam_role" "traffic" {
  count = local.shifts ? 1 : 0

  name                 = "${local.full_name}-traffic"
  description          = "ECS moves traffic between releases of ${var.service.name} with it."
  assume_role_policy   = data.aws_iam_policy_document.traffic_trust.json
  permissions_boundary = var.permissions_boundary_arn
}

data "aws_iam_policy_document" "traffic_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.environment.account]
    }
  }
}

resource "aws_iam_role_policy_attachment" "traffic" {
  count = local.shifts ? 1 : 0

  role       = aws_iam_role.traffic[0].name
  policy_arn = "arn:aws:iam::aws:policy/AmazonECSInfrastructureRolePolicyForLoadBalancers"
}
