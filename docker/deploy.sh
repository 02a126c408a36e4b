#!/usr/bin/env bash
# Runs on the production host, in the folder that holds .env, settings.env, secrets/ and releases/ (docs/deploy.md).
#
#   deploy.sh deploy TAG   switch to the version TAG, whose files lie in releases/TAG; a version that does not come up
#                          healthy, or does not answer through the edge, is switched back at once (exit status 1)
#   deploy.sh rollback     switch to the version before; migrations are not undone and not run
#   deploy.sh status       which version runs, which was before, and the containers
#
# Settings in .env: SITE_HOST, IMAGE_PREFIX, COMPOSE_PROFILES, SMOKE_PATH (default /), HEALTH_TIMEOUT in seconds (default 180).
set -euo pipefail

root=${PORTICO_DIR:-$(cd "$(dirname "$(realpath "$0")")" && pwd)}
cd "$root"
programs=(app worker proxy)
keep=5 # versions whose files and images stay on the host

say() { echo "deploy: $*" >&2; }
die() {
	say "$*"
	exit 1
}

# setting NAME DEFAULT: a variable of .env, without running the file as a script.
setting() {
	local line value
	line=$(grep -E "^$1=" .env | tail -n 1 || true)
	value=${line#*=}
	value=${value#[\"\']}
	value=${value%[\"\']}
	echo "${value:-$2}"
}

compose() { # TAG ARGUMENTS…
	local tag=$1
	shift
	TAG=$tag PROXY_CONFIG=./releases/$tag/proxy.yaml docker compose --ansi never --project-directory "$root" --env-file .env \
		--file "releases/$tag/docker-compose.prod.yml" "$@"
}

version_at() { # current|previous: the tag that the link names, or nothing
	if [ -L "$1" ]; then basename "$(readlink "$1")"; fi
}

point() { # LINK TAG
	ln --symbolic --no-dereference --force "releases/$2" "$1.new"
	mv --no-target-directory "$1.new" "$1"
}

record() { # ACTION TAG RESULT: one JSON line an event
	printf '{"time":"%s","actor":"%s","action":"%s","tag":"%s","result":"%s"}\n' \
		"$(date --utc +%FT%TZ)" "$(id -un)${DEPLOY_RUN:+ $DEPLOY_RUN}" "$1" "$2" "$3" >>deployments.jsonl
}

# answers: does the site answer through the edge, with a certificate that holds? No answer at all is waited for up to 90 s,
# because a first certificate takes that long; a refusal (4xx, 5xx) for 10 s, because people get it too.
answers() {
	local host url status refusals=0 deadline=$((SECONDS + 90)) tls=()
	host=$(setting SITE_HOST '')
	url=https://$host$(setting SMOKE_PATH /)
	[ "$(setting TLS_ISSUER acme)" = acme ] || tls=(--insecure) # a local authority is for trials
	while [ $SECONDS -lt $deadline ]; do
		status=$(curl --silent --output /dev/null --max-time 10 --write-out '%{http_code}' "${tls[@]}" \
			--resolve "$host:443:127.0.0.1" "$url" || true)
		case $status in
		2* | 3*) return 0 ;;
		000) ;;
		*) refusals=$((refusals + 1)) ;;
		esac
		[ $refusals -lt 5 ] || break
		sleep 2
	done
	say "$url answers $status (000: no connection, or a certificate that does not hold)"
	return 1
}

# start TAG [OPTIONS]: brings the programs of a version up, one after the other, so that an app that is not healthy touches
# neither worker nor proxy, and the proxy answers nothing for as short as can be; then the site has to answer.
start() {
	local tag=$1 program options
	shift
	options=("$@")
	for program in "${programs[@]}"; do
		compose "$tag" up --detach --wait --wait-timeout "$(setting HEALTH_TIMEOUT 180)" "${options[@]}" "$program" || return 1
		options=(--no-deps)
	done
	answers
}

switch_back() { # FAILED TAG
	say "$1 failed; its last words:"
	compose "$1" logs --no-color --tail 30 migrate app worker >&2 || true
	compose "$1" logs --no-color --tail 5 proxy >&2 || true
	[ -n "$2" ] || die "$1 failed, and there is no version before it to go back to"
	say "switching back to $2"
	if start "$2" --no-deps; then
		record switch-back "$2" ok
		die "$1 failed; $2 runs again"
	fi
	record switch-back "$2" failed
	die "$1 failed, and so did $2: look at 'deploy.sh status' and 'docker logs'"
}

prune() { # files and images of versions that neither run nor are among the newest
	local current previous prefix tag program
	current=$(version_at current) previous=$(version_at previous) prefix=$(setting IMAGE_PREFIX '')
	find releases -mindepth 1 -maxdepth 1 -type d -printf '%T@ %f\n' | sort --numeric-sort --reverse |
		tail --lines "+$((keep + 1))" | cut --delimiter ' ' --fields 2- | while read -r tag; do
		if [ "$tag" != "$current" ] && [ "$tag" != "$previous" ]; then
			for program in "${programs[@]}"; do docker image rm "$prefix/$program:$tag" >/dev/null 2>&1 || true; done
			rm --recursive --force "releases/${tag:?}"
		fi
	done
}

deploy() {
	local tag=$1 current
	[[ $tag =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || die "'$tag' is not the tag of an image"
	for file in docker-compose.prod.yml proxy.yaml; do
		[ -f "releases/$tag/$file" ] || die "releases/$tag/$file is missing: copy the files of that version first"
	done
	current=$(version_at current)
	say "from ${current:-nothing} to $tag"
	compose "$tag" config --quiet || die "the settings do not fit: nothing was changed"
	compose "$tag" pull --quiet --policy missing || die "cannot pull the images of $tag: nothing was changed"
	if ! start "$tag"; then
		record deploy "$tag" failed
		switch_back "$tag" "$([ "$current" = "$tag" ] || echo "$current")"
	fi
	if [ "$current" != "$tag" ]; then
		[ -z "$current" ] || point previous "$current"
		point current "$tag"
	fi
	record deploy "$tag" ok
	prune
	say "$tag runs"
}

rollback() {
	local current previous
	current=$(version_at current) previous=$(version_at previous)
	[ -n "$previous" ] || die "there is no version before ${current:-nothing} to go back to"
	say "from $current back to $previous"
	if ! start "$previous" --no-deps; then
		record rollback "$previous" failed
		switch_back "$previous" "$current"
	fi
	point current "$previous"
	point previous "$current"
	record rollback "$previous" ok
	say "$previous runs"
}

status() {
	local current
	current=$(version_at current)
	echo "current:  ${current:-none}"
	echo "previous: $(version_at previous)"
	[ -z "$current" ] || compose "$current" ps --all
}

one_at_a_time() {
	exec 9>>deploy.lock
	flock --nonblock 9 || die "another run is under way: $(cat deploy.lock)"
	echo "$(id -un)${DEPLOY_RUN:+ $DEPLOY_RUN} since $(date --utc +%FT%TZ)" >deploy.lock
}

[ -f .env ] || die "$root/.env is missing: see docs/deploy.md"
case "${1:-} $#" in
"deploy 2") one_at_a_time && deploy "$2" ;;
"rollback 1") one_at_a_time && rollback ;;
"status 1") status ;;
*) die "usage: deploy.sh deploy TAG | rollback | status" ;;
esac
