variable "site" {
  description = "The name people type, e.g. example.com."
  type        = string
}

variable "zone" {
  description = "The hosted zone in Route 53 that the site's name lies in, e.g. example.com; null when DNS is elsewhere."
  type        = string
  default     = null
}

variable "email" {
  description = "Where the certificate authority writes to."
  type        = string
}

variable "repository" {
  description = "OWNER/NAME on GitHub: the only one that may deploy, from main by its environment production."
  type        = string
}

variable "name" {
  description = "What everything is called."
  type        = string
  default     = "portico"
}

variable "instance_type" {
  description = "ARM (t4g, m7g) or x86-64 (t3, m7i): the images are made for both. 2 GB of memory or more."
  type        = string
  default     = "t4g.small"
}

variable "disk_gigabytes" {
  type    = number
  default = 30
}

variable "ssh_key" {
  description = "Public key that may sign in as the user deploy; null when only Systems Manager deploys."
  type        = string
  default     = null
}

variable "ssh_from" {
  description = "Networks that reach port 22, e.g. [\"203.0.113.7/32\"]; none when only Systems Manager deploys."
  type        = list(string)
  default     = []
}

variable "balancer" {
  description = "What stands before the host: none, nlb (TCP with the PROXY protocol; the edge ends TLS) or alb (it ends TLS)."
  type        = string
  default     = "none"
  validation {
    condition     = contains(["none", "nlb", "alb"], var.balancer)
    error_message = "The balancer is none, nlb or alb."
  }
}

variable "subnets" {
  description = "Two public subnets or more of one VPC; null for those of the default VPC."
  type        = list(string)
  default     = null
}

variable "database" {
  description = "Class of an RDS instance for PostgreSQL, e.g. db.t4g.micro; null when it runs on the host."
  type        = string
  default     = null
}

variable "cache" {
  description = "Type of an ElastiCache node for Valkey, e.g. cache.t4g.micro; null when it runs on the host."
  type        = string
  default     = null
}
