#!/usr/bin/env bash
# Brings secrets from AWS Systems Manager's Parameter Store to the host, which asks by its own role: fetch-secrets.sh --help
set -euo pipefail

usage() {
	cat <<'END'
usage: fetch-secrets.sh PREFIX | --configured

  PREFIX        such as /portico: PREFIX/secrets/NAME becomes the file secrets/NAME, PREFIX/settings.env the file settings.env
  --configured  PREFIX is what SECRETS_FROM in .env says; without it there is nothing to do

Files without a parameter stay as they are. Nothing changes unless every parameter was read. docker/ship.sh does this before each
deploy, with which what has changed takes effect.

Needs the AWS CLI with the rights ssm:GetParametersByPath and ssm:GetParameter below PREFIX. The region is AWS_REGION, or else the
instance's own.

example:
  aws ssm put-parameter --type SecureString --name /portico/secrets/smtp_url --value smtp://user:password@host:587
  /opt/portico/releases/4f2c1d9/fetch-secrets.sh /portico
END
}

say() { printf 'fetch-secrets: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

here=$(cd "$(dirname "$(realpath "$0")")" && pwd)
case "${1:-} $#" in
"--help 1" | "-h 1" | " 0") usage && exit ;;
*" 1") cd "${PORTICO_DIR:-${here%/releases/*}}" ;;
*) die "wrong arguments: see fetch-secrets.sh --help" ;;
esac
[ -f .env ] || die "$PWD/.env is missing: docker/bootstrap.sh makes it"
prefix=$1
if [ "$prefix" = --configured ]; then
	prefix=$(sed --quiet "s/^SECRETS_FROM=[\"']\{0,1\}\([^\"'#[:space:]]*\).*/\1/p" .env)
	[ -n "$prefix" ] || exit 0
fi
[[ $prefix =~ ^(/[A-Za-z0-9_.-]+)+$ ]] || die "$prefix is not a prefix such as /portico"
[ -d secrets ] || die "$PWD/secrets is missing: docker/bootstrap.sh makes it"
command -v aws >/dev/null || die "the AWS CLI is missing: apt-get install awscli, or the bundle that AWS offers"

# metadata PATH: what the instance knows about itself.
metadata() {
	local token
	token=$(curl --fail --silent --max-time 3 --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token) &&
		curl --fail --silent --max-time 3 --header "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"
}
AWS_REGION=${AWS_REGION:-$(metadata placement/region)} || die "this is no instance of EC2: set AWS_REGION"
export AWS_REGION AWS_DEFAULT_REGION=$AWS_REGION

# file NAME: the file that a parameter is for, or nothing.
file() {
	local name=${1#"$prefix/"}
	if [[ $name =~ ^(secrets/[a-z0-9_]+|settings\.env)$ ]]; then echo "$name"; fi
}

umask 077
find . -maxdepth 1 -name '.fetched.*' -mmin +60 -exec rm --recursive --force {} + # of runs that were killed
fetched=$(mktemp --directory .fetched.XXXXXX)
trap 'rm --recursive --force "$fetched"' EXIT
names=$(aws ssm get-parameters-by-path --path "$prefix" --recursive --query 'Parameters[].[Name]' --output text) || die "cannot list $prefix: may this host's role read it?"
files=()
while read -r name; do
	to=$(file "$name")
	[ -n "$to" ] || continue
	mkdir --parents "$fetched/secrets"
	aws ssm get-parameter --name "$name" --with-decryption --query Parameter.Value --output text >"$fetched/$to" || die "cannot read $name: nothing was changed"
	files+=("$to")
done <<<"$names"
[ ${#files[@]} -gt 0 ] || die "there is nothing at $prefix/secrets/… nor $prefix/settings.env"
for to in "${files[@]}"; do
	if ! cmp --silent "$fetched/$to" "$to"; then
		# The folder of secrets is closed; its files are read by the programs' user in the containers, who is another.
		[ "$to" = settings.env ] || chmod 0444 "$fetched/$to"
		mv --force "$fetched/$to" "$to"
		say "$to has changed"
	fi
done
