# What may be asked of each API through its endpoint. Only roles of this account
# may ask; what a role may do is for its own policy to say. ECR's resources are
# not narrowed: GuardDuty's agent, which AWS adds to tasks, is pulled from a
# repository of another account, and a task that cannot pull it runs unwatched.
# Source: Amazon GuardDuty User Guide, "Prerequisites for AWS Fargate (Amazon ECS only)".
locals {
  actions = {
    "ecr.api"        = ["ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
    "ecr.dkr"        = ["ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
    "logs"           = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    "secretsmanager" = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
    "ssm"            = ["ssm:GetParameters", "ssm:GetParameter"]
    "ssmmessages"    = ["ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"]
    "xray"           = ["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"]
    "ecs-agent"      = ["ecs:Poll", "ecs:DiscoverPollEndpoint", "ecs:PutServiceConnectTelemetry"]
    "monitoring"     = ["cloudwatch:PutMetricData"]
    "kms"            = ["kms:Decrypt", "kms:GenerateDataKey"]
    "sts"            = ["sts:GetCallerIdentity"]
  }

  statements = {
    for api in var.apis : api => [{
      Sid       = "OwnRoles"
      Effect    = "Allow"
      Principal = "*"
      Action    = local.actions[api]
      Resource  = "*"
      Condition = { StringEquals = { "aws:PrincipalAccount" = data.aws_caller_identity.this.account_id } }
    }]
  }

  # ECR signs the links to its layers itself, so that no condition on the caller
  # would hold. Source: Amazon ECR User Guide, "Minimum Amazon S3 bucket permissions".
  s3_statements = concat(
    [{
      Sid       = "ImageLayers"
      Effect    = "Allow"
      Principal = "*"
      Action    = ["s3:GetObject"]
      Resource  = ["arn:${data.aws_partition.this.partition}:s3:::prod-${data.aws_region.this.region}-starport-layer-bucket/*"]
    }],
    length(var.bucket_arns) == 0 ? [] : [{
      Sid       = "OwnBuckets"
      Effect    = "Allow"
      Principal = "*"
      Action    = ["s3:GetObject"]
      Resource  = [for arn in var.bucket_arns : "${arn}/*"]
    }],
  )
}
