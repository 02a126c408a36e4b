data "aws_route53_zone" "site" {
  count = var.zone == null ? 0 : 1
  name  = var.zone
}

resource "aws_route53_record" "host" {
  count   = var.zone != null && var.balancer == "none" ? 1 : 0
  zone_id = data.aws_route53_zone.site[0].zone_id
  name    = var.site
  type    = "A"
  ttl     = 300
  records = [aws_eip.host.public_ip]
}

resource "aws_route53_record" "balancer" {
  count   = var.zone != null && var.balancer != "none" ? 1 : 0
  zone_id = data.aws_route53_zone.site[0].zone_id
  name    = var.site
  type    = "A"
  alias {
    name                   = aws_lb.balancer[0].dns_name
    zone_id                = aws_lb.balancer[0].zone_id
    evaluate_target_health = true
  }
}

resource "aws_route53_record" "validation" {
  for_each = var.zone == null || var.balancer != "alb" ? {} : {
    for option in aws_acm_certificate.site[0].domain_validation_options : option.domain_name => option
  }
  zone_id = data.aws_route53_zone.site[0].zone_id
  name    = each.value.resource_record_name
  type    = each.value.resource_record_type
  ttl     = 300
  records = [each.value.resource_record_value]
}

resource "aws_acm_certificate_validation" "site" {
  count                   = var.balancer == "alb" ? 1 : 0
  certificate_arn         = aws_acm_certificate.site[0].arn
  validation_record_fqdns = [for record in aws_route53_record.validation : record.fqdn]
}
