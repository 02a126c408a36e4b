output "address" {
  description = "Where the site's name must point to when DNS is elsewhere."
  value       = var.balancer == "none" ? aws_eip.host.public_ip : aws_lb.balancer[0].dns_name
}

output "github" {
  description = "Variables for GitHub, by the names that the workflow knows."
  value = {
    SITE_URL        = "https://${var.site}/api/health/"
    DEPLOY_VIA      = "ssm"
    DEPLOY_INSTANCE = aws_instance.host.id
    AWS_REGION      = data.aws_region.here.region
    AWS_BUILD_ROLE  = aws_iam_role.github["build"].arn
    AWS_DEPLOY_ROLE = aws_iam_role.github["deploy"].arn
    ECR_REGISTRY    = "${split("/", aws_ecr_repository.images["app"].repository_url)[0]}/${var.name}"
  }
}

output "secrets" {
  description = "Below which name in Parameter Store the host looks for secrets/NAME and settings.env."
  value       = "/${var.name}"
}
