# The image repositories of the account. Tags never move; tasks name digests.
resource "aws_ecr_repository" "this" {
  for_each = var.repositories

  name                 = each.key
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.kms_key_arn
  }
}

# Signatures and bills of materials are untagged and expire with the image that
# they refer to, so that no rule may look at untagged ones.
# Source: Amazon ECR User Guide, "Reference artifacts and lifecycle policies".
resource "aws_ecr_lifecycle_policy" "releases" {
  for_each = toset([for name in var.repositories : name if startswith(name, "slipway/")])

  repository = aws_ecr_repository.this[each.key].name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Keep the newest releases."
      selection = {
        tagStatus     = "tagged"
        tagPrefixList = ["built-"]
        countType     = "imageCountMoreThan"
        countNumber   = var.keep
      }
      action = { type = "expire" }
    }]
  })
}
