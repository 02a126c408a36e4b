#!/usr/bin/env bash
# Builds and starts docker-compose.yml under a project name and ports of its own, uses it as a person would, and removes it
# with its data: docker/smoke.sh. Needs docker compose and curl. HTTP_PORT, HTTPS_PORT and EDGE_PREFIX move it.
set -euo pipefail
cd "$(dirname "$0")/.."
export COMPOSE_PROJECT_NAME=portico-smoke HTTP_PORT=${HTTP_PORT:-18080} HTTPS_PORT=${HTTPS_PORT:-18443} EDGE_PREFIX=${EDGE_PREFIX:-10.213.82}
readonly site=https://localhost:$HTTPS_PORT image_limit=$((30 * 1000 * 1000))
folder=$(mktemp --directory)

finish() {
	local result=$?
	if [ $result -ne 0 ]; then
		docker compose ps --all >&2 || true
		docker compose logs --no-color --tail 50 >&2 || true
	fi
	docker compose down --volumes --timeout 5 >/dev/null 2>&1 || true
	rm --recursive --force "$folder"
	exit $result
}
trap finish EXIT

say() { echo "smoke: $*" >&2; }
fail() {
	say "FAILED: $*"
	exit 1
}

# request ARGUMENTS…: curl through the edge, believing the local authority alone.
request() { curl --silent --show-error --max-time 20 --cacert "$folder/root.pem" "$@"; }

# expect STATUS ARGUMENTS…: the answer's body goes to $folder/body.
expect() {
	local want=$1 got
	shift
	got=$(request --output "$folder/body" --write-out '%{http_code}' "$@")
	[ "$got" = "$want" ] || fail "curl $*: status $got, want $want: $(head --bytes 500 "$folder/body")"
}

# mail_for ADDRESS: waits until the mailbox page knows a message to ADDRESS.
mail_for() {
	local deadline=$((SECONDS + 60))
	until request "$site/mailbox/messages.json" | grep --quiet --fixed-strings "$1"; do
		[ $SECONDS -lt $deadline ] || fail "no mail for $1 after a minute"
		sleep 0.5
	done
}

register() {
	expect 201 --header 'Content-Type: application/json' --data \
		"{\"email\":\"$1\",\"password1\":\"correct-horse-battery\",\"password2\":\"correct-horse-battery\"}" "$site/accounts/registration/"
}

say "building and starting"
docker compose up --detach --build --quiet-pull --wait
docker compose cp proxy:/data/ca/root.pem "$folder/root.pem" 2>/dev/null
docker compose cp app:/secrets/flower_basic_auth "$folder/flower" 2>/dev/null

say "pages and API through the edge"
expect 200 "$site/"
expect 200 "$site/api/openapi.json"
expect 200 "$site/board/"
expect 308 "http://localhost:$HTTP_PORT/board/"
[ "$(request --http2 --output /dev/null --write-out '%{http_version}' "$site/")" = 2 ] || fail "no HTTP/2"

say "a registration and its mail"
register first@example.com
mail_for first@example.com

say "a registration while the worker is dead"
docker compose kill worker 2>/dev/null
register second@example.com
docker compose up --detach --wait --no-deps worker 2>/dev/null
mail_for second@example.com

say "the dashboard"
expect 308 "$site/flower"
expect 401 "$site/flower/"
expect 200 --user "$(cat "$folder/flower")" "$site/flower/"
expect 200 --user "$(cat "$folder/flower")" "$site/flower/api/tasks"
grep --quiet account.welcome_mail "$folder/body" || fail "the dashboard does not show account.welcome_mail"

say "the edge cannot reach the database"
networks=$(docker inspect --format '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}' "$(docker compose ps --quiet proxy)")
[ "$networks" = "${COMPOSE_PROJECT_NAME}_edge " ] || fail "the proxy is in the networks $networks"

say "a stop that drains"
docker compose stop proxy app worker 2>/dev/null
for program in proxy app worker; do
	status=$(docker inspect --format '{{.State.ExitCode}}' "$(docker compose ps --all --quiet "$program")")
	[ "$status" = 0 ] || fail "$program ended with status $status"
	size=$(docker image inspect --format '{{.Size}}' "portico/$program:local")
	say "image $program: $((size / 1000000)) MB"
	[ "$size" -le "$image_limit" ] || fail "the image of $program is larger than $((image_limit / 1000000)) MB"
done
say "all well"
