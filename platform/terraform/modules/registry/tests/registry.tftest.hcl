mock_provider "aws" {
  override_during = plan
}

variables {
  repositories = ["slipway/catalog", "slipway/orders", "mirror/otel-collector"]
  kms_key_arn  = "arn:aws:kms:eu-central-1:111111111111:key/1"
}

run "tags_never_move_and_every_push_is_scanned" {
  command = plan

  assert {
    condition     = alltrue([for r in values(aws_ecr_repository.this) : r.image_tag_mutability == "IMMUTABLE" && r.image_scanning_configuration[0].scan_on_push])
    error_message = "A repository's tags can be moved, or pushes are not scanned."
  }
}

run "images_are_encrypted_with_the_own_key" {
  command = plan

  assert {
    condition     = alltrue([for r in values(aws_ecr_repository.this) : r.encryption_configuration[0].encryption_type == "KMS" && r.encryption_configuration[0].kms_key == var.kms_key_arn])
    error_message = "A repository is not encrypted with the given key."
  }
}

run "old_releases_expire_and_what_was_mirrored_does_not" {
  command = plan

  assert {
    condition     = keys(aws_ecr_lifecycle_policy.releases) == ["slipway/catalog", "slipway/orders"]
    error_message = "A service's releases are kept for ever, or a mirrored image expires."
  }
  assert {
    condition     = jsondecode(aws_ecr_lifecycle_policy.releases["slipway/orders"].policy).rules[0].selection.tagStatus == "tagged"
    error_message = "The rule looks at untagged images, which signatures are."
  }
}

run "a_name_outside_of_the_two_kinds_is_refused" {
  command = plan
  variables { repositories = ["orders"] }
  expect_failures = [var.repositories]
}

run "keeping_next_to_nothing_is_refused" {
  command = plan
  variables { keep = 2 }
  expect_failures = [var.keep]
}
