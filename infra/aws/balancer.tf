locals {
  balanced = var.balancer == "none" ? [] : [var.balancer]
  # An NLB hands on what arrives; an ALB ends TLS and speaks HTTP to the edge.
  ports = var.balancer == "nlb" ? toset(["80", "443"]) : var.balancer == "alb" ? toset(["80"]) : toset([])
}

resource "aws_security_group" "balancer" {
  count       = length(local.balanced)
  name_prefix = "${var.name}-balancer-"
  description = "Everybody to 80 and 443"
  vpc_id      = local.vpc
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  for_each          = var.balancer == "none" ? toset([]) : toset(["80", "443"])
  security_group_id = aws_security_group.balancer[0].id
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  count                        = length(local.balanced)
  security_group_id            = aws_security_group.balancer[0].id
  referenced_security_group_id = aws_security_group.host.id
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_ingress_rule" "from_balancer" {
  for_each                     = local.ports
  security_group_id            = aws_security_group.host.id
  referenced_security_group_id = aws_security_group.balancer[0].id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_lb" "balancer" {
  count              = length(local.balanced)
  name               = var.name
  load_balancer_type = var.balancer == "alb" ? "application" : "network"
  security_groups    = [aws_security_group.balancer[0].id]
  subnets            = local.subnets
}

resource "aws_lb_target_group" "edge" {
  for_each = local.ports
  name     = "${var.name}-${each.value}"
  port     = each.value
  protocol = var.balancer == "alb" ? "HTTP" : "TCP"
  vpc_id   = local.vpc
  # The edge tells the balancer by its address, and clients by the PROXY header.
  proxy_protocol_v2    = var.balancer == "nlb" ? true : null
  preserve_client_ip   = var.balancer == "nlb" ? false : null
  deregistration_delay = 30
  health_check {
    protocol = "HTTP"
    port     = "80"
    path     = "/.well-known/portico/health" # listen.health_path of proxy.yaml
    matcher  = "200"
    interval = 10
  }
}

resource "aws_lb_target_group_attachment" "edge" {
  for_each         = local.ports
  target_group_arn = aws_lb_target_group.edge[each.value].arn
  target_id        = aws_instance.host.id
}

resource "aws_lb_listener" "tcp" {
  for_each          = var.balancer == "nlb" ? local.ports : toset([])
  load_balancer_arn = aws_lb.balancer[0].arn
  port              = each.value
  protocol          = "TCP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.edge[each.value].arn
  }
}

resource "aws_acm_certificate" "site" {
  count             = var.balancer == "alb" ? 1 : 0
  domain_name       = var.site
  validation_method = "DNS"
  lifecycle {
    create_before_destroy = true
    precondition {
      condition     = var.zone != null
      error_message = "With balancer = \"alb\", zone has to name the hosted zone in which the certificate is proven."
    }
  }
}

resource "aws_lb_listener" "https" {
  count             = var.balancer == "alb" ? 1 : 0
  load_balancer_arn = aws_lb.balancer[0].arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate_validation.site[0].certificate_arn
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.edge["80"].arn
  }
}

resource "aws_lb_listener" "redirect" {
  count             = var.balancer == "alb" ? 1 : 0
  load_balancer_arn = aws_lb.balancer[0].arn
  port              = 80
  protocol          = "HTTP"
  default_action {
    type = "redirect"
    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}
