#!/usr/bin/env bash
# Brings a release to the production host and lets deploy.sh switch to it there: by SSH, or through AWS Systems Manager. The
# workflow runs it, and a person can. docker/ship.sh --help
set -euo pipefail

usage() {
	cat <<'END'
usage: ship.sh deploy RELEASE IMAGES_ENV [OPTIONS of deploy.sh]    RELEASE as docker/deploy.sh names it, e.g. a commit
       ship.sh rollback | status

IMAGES_ENV is a file with PROXY_IMAGE, APP_IMAGE and WORKER_IMAGE, by digest. From the environment:

  DEPLOY_VIA       ssh (default) or ssm
  DEPLOY_HOST      ssh: user@host; its key must be known (~/.ssh/known_hosts)
  DEPLOY_INSTANCE  ssm: the instance, e.g. i-0123456789abcdef0; credentials as the AWS CLI finds them
  DEPLOY_USER      ssm: the user of deploy.sh there (default deploy)
  DEPLOY_FOLDER    where deploy.sh is (default /opt/portico)
  PROXY_YAML       the edge's configuration (default docker/proxy.prod.yaml)
  DEPLOY_RUN       who or what this is for, for the host's records
  REGISTRY_USER, REGISTRY_TOKEN   ssh: let the host pull from the images' registry, for as long as this takes
  ENV_VARS         ssh: the text of settings.env, the settings of app and worker; it takes the place of the one there

Where .env on the host has SECRETS_FROM, a deploy brings secrets from the Parameter Store first: docker/fetch-secrets.sh --help.

examples:
  DEPLOY_HOST=deploy@203.0.113.7 docker/ship.sh deploy 4f2c1d9 images.env
  DEPLOY_VIA=ssm DEPLOY_INSTANCE=i-0123456789abcdef0 docker/ship.sh rollback
END
}

say() { printf 'ship: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

cd "$(dirname "$(realpath "$0")")/.."
via=${DEPLOY_VIA:-ssh} folder=${DEPLOY_FOLDER:-/opt/portico} run=${DEPLOY_RUN:-}

# archive IMAGES_ENV: the files of a release, as deploy.sh wants them, packed.
archive() {
	local pack
	pack=$(mktemp --directory)
	install -m 0644 docker-compose.prod.yml "$pack/docker-compose.prod.yml" &&
		install -m 0644 "${PROXY_YAML:-docker/proxy.prod.yaml}" "$pack/proxy.yaml" &&
		install -m 0644 "$1" "$pack/images.env" &&
		install -m 0755 docker/deploy.sh docker/backup.sh docker/backup-upload.sh docker/fetch-secrets.sh "$pack" &&
		tar --create --gzip --owner 0 --group 0 --numeric-owner --mtime "@0" --sort name --directory "$pack" . | base64 --wrap 76
	local packed=$?
	rm --recursive --force "$pack"
	return $packed
}

# secrets IMAGES_ENV: shell that hands over what only the host may see. It goes by standard input alone.
secrets() {
	local registry
	if [ -n "${ENV_VARS:-}" ]; then
		printf '(umask 077 && cat >settings.env.new) <<"END_OF_SETTINGS"\n%s\nEND_OF_SETTINGS\nmv settings.env.new settings.env\n' "$ENV_VARS"
	fi
	if [ -n "${REGISTRY_TOKEN:-}" ]; then
		registry=$(sed --quiet 's/^APP_IMAGE=\([^/]*\).*/\1/p' "$1")
		printf 'trap "docker logout %q" EXIT\nprintf %%s %q | docker login %q --username %q --password-stdin\n' "$registry" "$REGISTRY_TOKEN" "$registry" "$REGISTRY_USER"
	fi
}

# script VERB …: the shell that the deploying user runs on the host. It takes the lock before it changes anything, and lets
# deploy.sh go on to its end even when the connection, or who waits for it, is gone.
script() {
	printf 'set -euo pipefail\ncd %q\n' "$folder"
	if [ "$1" = status ]; then
		echo './deploy.sh status'
		return
	fi
	printf 'export DEPLOY_RUN=%q DEPLOY_LOCKED=yes\n' "$run"
	cat <<'END'
exec 9>>deploy.lock
flock --nonblock 9 || { echo "deploy: waiting up to a minute for another run: $(cat deploy.lock)" && flock --timeout 60 9; } ||
	{ echo "deploy: another run is under way" && exit 1; }
echo "$(id -un) $DEPLOY_RUN since $(date --utc +%FT%TZ)" >deploy.lock
END
	if [ "$1" = deploy ]; then
		printf 'name=%q\n' "$2"
		cat <<'END'
rm --recursive --force releases/.incoming
mkdir --parents releases/.incoming
base64 --decode <<"END_OF_FILES" | tar --extract --gzip --touch --no-same-owner --directory releases/.incoming
END
		archive "$3" || return 1
		cat <<'END'
END_OF_FILES
# What is there under a name stays as it is: it may be serving, or be gone back to. Other files get another name.
release=$name n=2
while [ -e "releases/$release" ] && ! diff --recursive --brief releases/.incoming "releases/$release" >/dev/null; do
	release=$name.$n n=$((n + 1))
done
if [ -e "releases/$release" ]; then touch "releases/$release/images.env"; else mv releases/.incoming "releases/$release"; fi
END
		[ "$via" = ssm ] || secrets "$3"
		# shellcheck disable=SC2016 # for the host's shell
		printf '"releases/$release/fetch-secrets.sh" --configured </dev/null 2>&1\nset -- "releases/$release/deploy.sh" deploy "$release"'
		[ $# -lt 4 ] || printf ' %q' "${@:4}"
		echo
	else
		printf 'set -- ./deploy.sh %q\n' "$1"
	fi
	cat <<'END'
log=$(mktemp)
setsid "$@" </dev/null >"$log" 2>&1 &
END
	if [ "$via" = ssh ]; then
		cat <<'END'
tail --pid=$! --follow --lines=+1 --sleep-interval=0.2 "$log" || true
status=0; wait $! || status=$?
END
	else # Systems Manager keeps the first 24,000 characters; what went wrong stands at the end
		cat <<'END'
status=0; wait $! || status=$?
tail --bytes 20000 "$log"
END
	fi
	echo "rm \"\$log\"; exit \$status"
}

by_ssh() {
	local text
	text=$(script "$@") || die "the release could not be packed: nothing was sent"
	ssh "$DEPLOY_HOST" bash -s <<<"$text" && return
	local status=$?
	[ $status != 255 ] || say "the connection failed: what it may have begun on the host goes on there; ship.sh status tells"
	return $status
}

# by_ssm VERB …: what is sent can be read by who may read the history of commands, so that no secret goes this way. The agent
# gives it to sh, which is not bash on Debian and Ubuntu; packed, it stays far below what a command may hold.
by_ssm() {
	local packed command answer status=Pending silent=0
	[ -z "${ENV_VARS:-}" ] || say "ENV_VARS is left out: Systems Manager would keep it in its history; see docs/aws.md for Parameter Store"
	packed=$(script "$@" | gzip --best --no-name | base64 --wrap 0) || die "the release could not be packed: nothing was sent"
	command=$(aws ssm send-command --document-name AWS-RunShellScript --instance-ids "$DEPLOY_INSTANCE" --comment "portico $1 ${2:-}" --timeout-seconds 60 \
		--parameters "$(jq --null-input --arg line "printf %s '$packed' | base64 --decode | gunzip | sudo --user '${DEPLOY_USER:-deploy}' --login bash -s" \
			'{commands: [$line], executionTimeout: ["1800"]}')" --query Command.CommandId --output text)
	say "command $command"
	while case $status in Pending | InProgress | Delayed | Cancelling) true ;; *) false ;; esac do
		sleep "${SHIP_POLL:-3}"
		if answer=$(invocation "$command" Status 2>&1); then
			status=${answer##*$'\n'} silent=0
		else # right after it was sent the command may not be known yet
			silent=$((silent + 1))
			[ $silent -lt 20 ] || die "command $command cannot be followed, and may still run: $answer"
		fi
		[ $SECONDS -lt 1900 ] || die "command $command has not ended after half an hour, and may still run"
	done
	invocation "$command" '[StandardOutputContent, StandardErrorContent]'
	case $status in
	Success) ;;
	TimedOut | Cancelled) die "$1 on $DEPLOY_INSTANCE ended with $status, and may still run" ;;
	*) die "$1 on $DEPLOY_INSTANCE ended with $status" ;;
	esac
}

invocation() { # COMMAND QUERY
	aws ssm get-command-invocation --command-id "$1" --instance-id "$DEPLOY_INSTANCE" --query "$2" --output text
}

case "${1:-} $#" in
"--help 1" | "-h 1" | " 0") usage && exit ;;
"deploy 1" | "deploy 2") die "deploy wants RELEASE and IMAGES_ENV: see ship.sh --help" ;;
"deploy "*)
	[[ $2 =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || die "'$2' is not the name of a release"
	[ -f "$3" ] || die "$3 is not there: it names the images"
	;;
"rollback 1" | "status 1") ;;
*) die "no such command: see ship.sh --help" ;;
esac
case $via in
ssh) [ -n "${DEPLOY_HOST:-}" ] || die "DEPLOY_HOST is missing: user@host" ;;
ssm) [ -n "${DEPLOY_INSTANCE:-}" ] || die "DEPLOY_INSTANCE is missing: i-…" ;;
*) die "DEPLOY_VIA=$via: ssh or ssm" ;;
esac
"by_$via" "$@"
