#!/bin/sh
# Secrets of the local containers, made on the first start and kept in volumes: nothing secret is in the repository, and
# `docker compose down --volumes` forgets them together with the database they open.
# /secrets is for app and worker, /database for PostgreSQL alone.
set -eu

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

# write FILE VALUE: whole or not at all. The volumes are the fence; inside, the programs' users differ and all may read.
write() {
	printf '%s' "$2" >"$1.new"
	chmod 0444 "$1.new"
	mv "$1.new" "$1"
}

[ -s /database/password ] || write /database/password "$(random)"
[ -s /secrets/secret_key ] || write /secrets/secret_key "$(random)"
[ -s /secrets/flower_basic_auth ] || write /secrets/flower_basic_auth "admin:$(random)"
write /secrets/database_url "postgres://portico:$(cat /database/password)@postgres:5432/portico?sslmode=disable"
