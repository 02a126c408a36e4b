# shellcheck shell=bash
# The first boot of the host: what docker/bootstrap.sh makes of it, and the CLI and the agent of Systems Manager, which Debian's image
# lacks. Whoever starts the instance puts lines before this one that set:
#   bootstrap     docker/bootstrap.sh, by gzip and base64
#   options       its options
#   settings      lines for .env
#   database_ca   where Amazon's certificates for RDS are, if RDS is used
set -euo pipefail
: "${bootstrap:?}" "${options:?}" "${settings:?}"

# The host gets its lasting address while this runs, so that a download may break off.
fetch() { curl --fail --silent --show-error --retry 10 --retry-all-errors --output "$@"; }
echo 'Acquire::Retries "10";' >/etc/apt/apt.conf.d/51retries
apt-get update --quiet=2
apt-get install --quiet=2 --yes awscli curl

token=$(curl --fail --silent --retry 10 --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
region=$(curl --fail --silent --retry 10 --header "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/placement/region)
fetch /tmp/agent.deb "https://s3.$region.amazonaws.com/amazon-ssm-$region/latest/debian_$(dpkg --print-architecture)/amazon-ssm-agent.deb"
dpkg --install /tmp/agent.deb
systemctl enable --now amazon-ssm-agent

base64 --decode <<<"$bootstrap" | gunzip >/root/bootstrap.sh
eval "bash /root/bootstrap.sh $options" # which are quoted as on a command line
printf '%s\n' "$settings" >>/opt/portico/.env
[ -z "${database_ca:-}" ] || fetch /opt/portico/secrets/database_ca "$database_ca"
