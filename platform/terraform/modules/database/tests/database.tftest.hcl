mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111111111111" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111111111111:role/monitoring" }
  }
}

variables {
  name              = "slipway-test"
  subnet_ids        = ["subnet-1", "subnet-2"]
  security_group_id = "sg-1"
  kms_key_arn       = "arn:aws:kms:eu-central-1:111111111111:key/1"
}

run "everything_is_encrypted_with_the_own_key" {
  command = plan

  assert {
    condition = (
      aws_db_instance.this.storage_encrypted && aws_db_instance.this.kms_key_id == var.kms_key_arn &&
      aws_db_instance.this.performance_insights_kms_key_id == var.kms_key_arn &&
      aws_db_instance.this.master_user_secret_kms_key_id == var.kms_key_arn &&
      alltrue([for g in values(aws_cloudwatch_log_group.this) : g.kms_key_id == var.kms_key_arn])
    )
    error_message = "Data, insights, master secret or logs are not encrypted with the given key."
  }
}

run "no_password_is_in_the_state" {
  command = plan

  assert {
    condition     = aws_db_instance.this.manage_master_user_password && aws_db_instance.this.password == null
    error_message = "The master password is Terraform's."
  }
}

run "connections_need_tls" {
  command = plan

  assert {
    condition     = one([for p in aws_db_parameter_group.this.parameter : p.value if p.name == "rds.force_ssl"]) == "1"
    error_message = "The server takes connections without TLS."
  }
}

run "values_of_statements_are_not_logged" {
  command = plan

  assert {
    condition     = one([for p in aws_db_parameter_group.this.parameter : p.value if p.name == "log_parameter_max_length"]) == "0"
    error_message = "The server's log has the values of slow statements."
  }
}

run "the_server_survives_its_zone_and_a_slip_of_the_hand" {
  command = plan

  assert {
    condition     = aws_db_instance.this.multi_az && aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot && !aws_db_instance.this.publicly_accessible
    error_message = "The server has no standby, or can be deleted, or is public."
  }
}

run "an_unprotected_server_goes_without_a_trace" {
  command = plan
  variables {
    protected         = false
    high_availability = false
  }

  assert {
    condition     = !aws_db_instance.this.deletion_protection && aws_db_instance.this.skip_final_snapshot && aws_db_instance.this.delete_automated_backups && !aws_db_instance.this.multi_az
    error_message = "A server that may go leaves something behind."
  }
}

run "one_subnet_is_refused" {
  command = plan
  variables { subnet_ids = ["subnet-1"] }
  expect_failures = [var.subnet_ids]
}

run "an_old_version_is_refused" {
  command = plan
  variables { engine_version = "13" }
  expect_failures = [var.engine_version]
}

run "an_intel_processor_is_refused" {
  command = plan
  variables { instance_class = "db.m5.large" }
  expect_failures = [var.instance_class]
}

run "too_little_room_to_grow_is_refused" {
  command = plan
  variables { storage_gib = { initial = 100, maximum = 100 } }
  expect_failures = [var.storage_gib]
}

run "backups_of_a_day_are_refused" {
  command = plan
  variables { backup_days = 1 }
  expect_failures = [var.backup_days]
}

run "a_name_that_rds_does_not_take_is_refused" {
  command = plan
  variables { name = "slipway--test" }
  expect_failures = [var.name]
}
