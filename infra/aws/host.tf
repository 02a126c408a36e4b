data "aws_ami" "debian" {
  owners      = ["136693071363"] # Debian's own account
  most_recent = true
  filter {
    name   = "name"
    values = ["debian-13-${local.arm ? "arm64" : "amd64"}-*"]
  }
}

locals {
  arm = can(regex("^[a-z]+[0-9]+g", var.instance_type))
  bootstrap = join(" ", concat(
    ["--site", var.site, "--email", var.email],
    var.ssh_key == null ? [] : ["--key", "'${var.ssh_key}'"],
    var.database == null ? [] : ["--external-database"],
    var.cache == null ? [] : ["--external-cache", "rediss://${aws_elasticache_replication_group.cache[0].primary_endpoint_address}:6379/0"],
  ))
}

resource "aws_instance" "host" {
  ami                         = data.aws_ami.debian.id
  instance_type               = var.instance_type
  subnet_id                   = local.subnets[0]
  vpc_security_group_ids      = [aws_security_group.host.id]
  iam_instance_profile        = aws_iam_instance_profile.host.name
  associate_public_ip_address = true # until it has its own address
  user_data = join("\n", concat(
    [
      "#!/bin/bash",
      "bootstrap=${base64gzip(file("${path.module}/../../docker/bootstrap.sh"))}",
      "options=\"${local.bootstrap}\"",
      "settings='BACKUP_S3=s3://${aws_s3_bucket.backups.bucket}/database",
      "SECRETS_FROM=/${var.name}'",
    ],
    var.database == null ? [] : ["database_ca=https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"],
    [file("${path.module}/first-boot.sh")],
  ))

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1 # app and worker, in their own network, do not get the role; the proxy, in the host's, may
  }
  root_block_device {
    encrypted   = true
    volume_type = "gp3"
    volume_size = var.disk_gigabytes
  }
  tags = { Name = var.name }
  lifecycle {
    ignore_changes = [ami, user_data] # a newer image or script is for the next host
  }
}

resource "aws_iam_role" "host" {
  name_prefix        = "${var.name}-host-"
  assume_role_policy = data.aws_iam_policy_document.ec2.json
}

data "aws_iam_policy_document" "ec2" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_instance_profile" "host" {
  name_prefix = "${var.name}-host-"
  role        = aws_iam_role.host.name
}

resource "aws_iam_role_policy_attachment" "host" {
  for_each = toset([
    "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
  ])
  role       = aws_iam_role.host.name
  policy_arn = each.value
}

resource "aws_iam_role_policy" "host" {
  name   = "own-secrets-and-backups"
  role   = aws_iam_role.host.id
  policy = data.aws_iam_policy_document.host.json
}

data "aws_iam_policy_document" "host" {
  statement {
    actions   = ["ssm:GetParameter", "ssm:GetParametersByPath"]
    resources = [for path in ["", "/*"] : "arn:aws:ssm:${data.aws_region.here.region}:${data.aws_caller_identity.here.account_id}:parameter/${var.name}${path}"]
  }
  # What Amazon's policy for the agent allows beyond that, which is every parameter.
  statement {
    effect        = "Deny"
    actions       = ["ssm:GetParameter", "ssm:GetParameters"]
    not_resources = [for path in ["", "/*"] : "arn:aws:ssm:${data.aws_region.here.region}:${data.aws_caller_identity.here.account_id}:parameter/${var.name}${path}"]
  }
  # No right to delete: who takes the host over cannot take the backups away. Who should not read them either: encrypt them with age.
  statement {
    actions   = ["s3:PutObject", "s3:GetObject"]
    resources = ["${aws_s3_bucket.backups.arn}/*"]
  }
}

data "aws_region" "here" {}

data "aws_caller_identity" "here" {}
