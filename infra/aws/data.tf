# PostgreSQL and Valkey beside the host, when they shall not run on it. Only the host reaches them.
resource "aws_security_group" "data" {
  count       = var.database == null && var.cache == null ? 0 : 1
  name_prefix = "${var.name}-data-"
  description = "Database and cache, from the host"
  vpc_id      = local.vpc
}

resource "aws_vpc_security_group_ingress_rule" "data" {
  for_each                     = merge(var.database == null ? {} : { database = 5432 }, var.cache == null ? {} : { cache = 6379 })
  security_group_id            = aws_security_group.data[0].id
  referenced_security_group_id = aws_security_group.host.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_db_subnet_group" "database" {
  count       = var.database == null ? 0 : 1
  name_prefix = "${var.name}-"
  subnet_ids  = local.subnets
}

# The password is made once, kept in Parameter Store and never in the state. One that RDS manages would change every week, and
# the site would lose its database then.
ephemeral "aws_secretsmanager_random_password" "database" {
  count               = var.database == null ? 0 : 1
  password_length     = 40
  exclude_punctuation = true
}

resource "aws_ssm_parameter" "database_password" {
  count            = var.database == null ? 0 : 1
  name             = "/${var.name}/database_password"
  type             = "SecureString"
  value_wo         = ephemeral.aws_secretsmanager_random_password.database[0].random_password
  value_wo_version = 1
}

ephemeral "aws_ssm_parameter" "database_password" {
  count = var.database == null ? 0 : 1
  arn   = aws_ssm_parameter.database_password[0].arn
}

resource "aws_db_instance" "database" {
  count                      = var.database == null ? 0 : 1
  identifier_prefix          = "${var.name}-"
  engine                     = "postgres"
  engine_version             = "17"
  instance_class             = var.database
  allocated_storage          = 20
  max_allocated_storage      = 200
  storage_type               = "gp3"
  storage_encrypted          = true
  db_name                    = "portico"
  username                   = "portico"
  password_wo                = ephemeral.aws_ssm_parameter.database_password[0].value
  password_wo_version        = 1
  db_subnet_group_name       = aws_db_subnet_group.database[0].name
  vpc_security_group_ids     = [aws_security_group.data[0].id]
  backup_retention_period    = 14
  copy_tags_to_snapshot      = true
  deletion_protection        = true
  skip_final_snapshot        = false
  final_snapshot_identifier  = "${var.name}-last"
  auto_minor_version_upgrade = true
}

# docker/fetch-secrets.sh makes this the host's secrets/database_url.
resource "aws_ssm_parameter" "database_url" {
  count            = var.database == null ? 0 : 1
  name             = "/${var.name}/secrets/database_url"
  type             = "SecureString"
  value_wo         = "postgres://portico:${ephemeral.aws_ssm_parameter.database_password[0].value}@${aws_db_instance.database[0].address}:5432/portico?sslmode=verify-full&sslrootcert=/run/secrets/database_ca"
  value_wo_version = 1
}

resource "aws_elasticache_subnet_group" "cache" {
  count      = var.cache == null ? 0 : 1
  name       = var.name
  subnet_ids = local.subnets
}

resource "aws_elasticache_replication_group" "cache" {
  count                      = var.cache == null ? 0 : 1
  replication_group_id       = var.name
  description                = "Shared limits and certificates of the edges"
  engine                     = "valkey"
  engine_version             = "8.0"
  node_type                  = var.cache
  num_cache_clusters         = 1
  transit_encryption_enabled = true
  at_rest_encryption_enabled = true
  subnet_group_name          = aws_elasticache_subnet_group.cache[0].name
  security_group_ids         = [aws_security_group.data[0].id]
}
