data "aws_vpc" "default" {
  count   = var.subnets == null ? 1 : 0
  default = true
}

data "aws_subnets" "default" {
  count = var.subnets == null ? 1 : 0
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default[0].id]
  }
  filter {
    name   = "default-for-az"
    values = ["true"]
  }
}

data "aws_subnet" "first" {
  id = local.subnets[0]
}

locals {
  subnets = var.subnets != null ? var.subnets : sort(data.aws_subnets.default[0].ids)
  vpc     = data.aws_subnet.first.vpc_id
  # An ALB speaks HTTP to the edge, from its own security group; everybody else reaches the edge itself.
  public = var.balancer == "alb" ? [] : ["tcp/80", "tcp/443", "udp/443"]
}

resource "aws_security_group" "host" {
  name_prefix = "${var.name}-host-"
  description = "The edge, and SSH from where releases come"
  vpc_id      = local.vpc
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "public" {
  for_each          = toset(local.public)
  security_group_id = aws_security_group.host.id
  ip_protocol       = split("/", each.value)[0]
  from_port         = split("/", each.value)[1]
  to_port           = split("/", each.value)[1]
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  for_each          = toset(var.ssh_from)
  security_group_id = aws_security_group.host.id
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_egress_rule" "host" {
  security_group_id = aws_security_group.host.id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_eip" "host" {
  domain   = "vpc"
  instance = aws_instance.host.id
  tags     = { Name = var.name }
}
