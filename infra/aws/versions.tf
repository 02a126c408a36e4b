terraform {
  required_version = ">= 1.11" # write-only attributes: passwords that stay out of the state
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}
