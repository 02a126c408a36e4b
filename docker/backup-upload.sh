#!/usr/bin/env bash
# Brings the newest backup of a folder into S3, from the host, whose role may write there: backup-upload.sh --help
set -euo pipefail

usage() {
	cat <<'END'
usage: backup-upload.sh FOLDER S3-URL [--age-recipient KEY]

  FOLDER             where backup.sh writes
  S3-URL             s3://BUCKET or s3://BUCKET/PREFIX
  --age-recipient    encrypt with age(1) for this public key before anything leaves the host

Needs the AWS CLI with the right to put and get objects there. What is in the bucket after all is compared by size; then
FOLDER/last-upload says when and what, as last-success does for the backup itself.

example:
  backup-upload.sh /opt/portico/backups s3://example-backups/portico --age-recipient age1…
END
}

say() { printf 'backup-upload: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

recipient=''
case "${1:-} $#" in
"--help 1" | "-h 1" | " 0") usage && exit ;;
*" 2") ;;
*" 4") [ "$3" = --age-recipient ] || die "unknown option $3: see backup-upload.sh --help" && recipient=$4 ;;
*) die "wrong arguments: see backup-upload.sh --help" ;;
esac
folder=$1 destination=${2%/}
[[ $destination =~ ^s3://([a-z0-9][a-z0-9.-]+)(/(.+))?$ ]] || die "BACKUP_S3: $destination is not s3://BUCKET or s3://BUCKET/PREFIX"
bucket=${BASH_REMATCH[1]} prefix=${BASH_REMATCH[3]:+${BASH_REMATCH[3]}/}
command -v aws >/dev/null || die "the AWS CLI is missing: install it (apt-get install awscli, or the bundle that AWS offers)"
[ -z "$recipient" ] || command -v age >/dev/null || die "age is missing: apt-get install age"
[ -f "$folder/last-success" ] || die "$folder/last-success is missing: no backup was made there yet"
read -r _ name _ <"$folder/last-success"
[ -f "$folder/$name" ] || die "$folder/$name is missing, which last-success names"

# send FILE NAME: uploads, and looks at what arrived.
send() {
	local there
	aws s3 cp --only-show-errors "$1" "s3://$bucket/$prefix$2" || die "FAILED: $2 was not uploaded to $destination"
	there=$(aws s3api head-object --bucket "$bucket" --key "$prefix$2" --query ContentLength --output text) || die "FAILED: $2 is not in $destination"
	[ "$there" = "$(stat --format %s "$1")" ] || die "FAILED: $2 has $there bytes in $destination, and another size here"
}

if [ -n "$recipient" ]; then
	find "$folder" -maxdepth 1 -name '.upload.*' -mmin +720 -delete # of runs that were killed
	sealed=$(mktemp "$folder/.upload.XXXXXX")
	trap 'rm --force "$sealed"' EXIT
	age --recipient "$recipient" <"$folder/$name" >"$sealed" || die "FAILED: age did not encrypt $name"
	send "$sealed" "$name.age"
else
	send "$folder/$name" "$name"
fi
send "$folder/$name.sha256" "$name.sha256"
printf '%s %s\n' "$(date --utc +%FT%TZ)" "$name" >"$folder/.last-upload.new" && mv "$folder/.last-upload.new" "$folder/last-upload"
say "$name is in $destination${recipient:+, encrypted}"
