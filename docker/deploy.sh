#!/usr/bin/env bash
# Runs releases on the production host. It lies in the folder that holds .env, settings.env, secrets/, releases/ and state/, or
# in one of the releases; docs/deploy.md tells about them.
set -euo pipefail

usage() {
	cat <<'END'
usage: deploy.sh COMMAND

  deploy RELEASE [--allow-destructive]
                 switch to the release whose files lie in releases/RELEASE. It comes up beside the one that serves; nothing is
                 switched before it is healthy and answers SMOKE_PATH, and what then fails is switched back (exit status 1).
                 Migrations that the release before could not work with are refused without --allow-destructive.
  rollback       switch to the release before, in the same way; migrations are neither run nor undone
  start          bring up what ran last, after a boot; systemd runs it
  status [--json]  which release serves, which was before, and the containers
  logs [NAME]    follow the log of app, worker, proxy, postgres or valkey; of all without a name
  proxy ARGS…    a command of the edge: proxy status, proxy canary app --percent 5, proxy maintenance app on
  app ARGS…      a command of the app: app createadmin you@example.com, app migrate --plan
  backup         write a backup of the database into BACKUP_FOLDER, and bring it to BACKUP_S3 if that is set
  backups        which backups there are
  restore FILE [--replace]  bring a backup back into an empty database, or with --replace in the place of the one in use
  prune          delete files and images of releases beyond the newest five; each deploy does so at its end

examples:
  deploy.sh deploy 4f2c1d9
  deploy.sh logs app
  deploy.sh proxy pause app --for 1m

Settings, in .env: SITE_HOST, COMPOSE_PROFILES, SMOKE_PATH (default /api/health/), HEALTH_TIMEOUT in seconds (default 180),
DRAIN (default 30s), BACKUP_FOLDER (default ./backups), BACKUP_S3 (s3://BUCKET/PREFIX), BACKUP_AGE_RECIPIENT.
END
}

here=$(cd "$(dirname "$(realpath "$0")")" && pwd)
root=${PORTICO_DIR:-${here%/releases/*}}
cd "$root"
keep=5 # releases whose files and images stay on the host

say() { printf 'deploy: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

# ---- what is known: settings, releases, which colour is what

# variable FILE NAME DEFAULT: a variable of an env file, without running the file as a script.
variable() {
	local line value
	line=$(grep --extended-regexp "^$2=" "$1" | tail -n 1 | tr --delete '\r' || true)
	value=${line#*=}
	case $value in
	\"* | \'*) value=$(sed --quiet "s/^\([\"']\)\(.*\)\1.*/\2/p" <<<"$value") ;;
	*) value=$(sed 's/[[:space:]]#.*//; s/[[:space:]]*$//' <<<"$value") ;; # a comment, as compose reads it
	esac
	echo "${value:-$3}"
}
setting() { variable "$env_file" "$1" "$2"; }
image_of() { variable "releases/$1/images.env" "$2" ''; } # RELEASE NAME_IMAGE

# state/serving has the colour and the release that serve, and the release before; state/proxy the colour of the edge;
# state/deploying the release, the colour and the action of a run that has not ended yet.
state() { cat "state/$1" 2>/dev/null || true; }
remember() { # NAME VALUE
	printf '%s\n' "$2" >"state/$1.new" && sync "state/$1.new" && mv "state/$1.new" "state/$1"
}
word() { state "$1" | cut --delimiter ' ' --fields "$2"; }

other() { if [ "$1" = blue ]; then echo green; else echo blue; fi; }
colour_serving() { word serving 1; }
serving() { word serving 2; }
previous() { word serving 3; }

# A colour keeps the settings that its release was deployed with, so that what goes back, and a boot, has them whatever .env and
# settings.env have become: state/COLOUR.env and state/COLOUR.settings.env, with .new at their ends until the release serves.
env_file=.env settings_file=./settings.env
keep_settings() { # COLOUR
	{ if [ -f settings.env ]; then cat settings.env; fi; } >"state/$1.settings.env.new" && chmod 0600 "state/$1.settings.env.new" &&
		cp --preserve=mode .env "state/$1.env.new" || return 1
	[ "$(id --user)" != 0 ] || chown --reference=.env "state/$1.env.new" "state/$1.settings.env.new" # who boots is another
}
own_settings() { # of the colour that serves
	local name
	for name in env settings.env; do
		[ ! -f "state/$(colour_serving).$name.new" ] || mv "state/$(colour_serving).$name.new" "state/$(colour_serving).$name" || return 1
	done
}
as() { # COLOUR: its settings hold from here on
	local suffix=''
	[ ! -f "state/$1.env.new" ] || suffix=.new
	env_file=.env settings_file=./settings.env
	[ ! -f "state/$1.env$suffix" ] || env_file=state/$1.env$suffix settings_file=./state/$1.settings.env$suffix
}

app_port() { if [ "$1" = blue ]; then echo 8001; else echo 8002; fi; }
worker_port() { if [ "$1" = blue ]; then echo 5555; else echo 5556; fi; }

data_services() {
	local profiles
	profiles=,$(setting COMPOSE_PROFILES '' | tr --delete ' '),
	case $profiles in *,database,*) echo postgres ;; esac
	case $profiles in *,cache,*) echo valkey ;; esac
}

actor() { printf '%s' "${SUDO_USER:-$(id -un)}${DEPLOY_RUN:+ $DEPLOY_RUN}" | tr --delete '"\\[:cntrl:]'; }

record() { # ACTION RELEASE RESULT: a JSON line for each event
	local images=''
	[ ! -f "releases/$2/images.env" ] || images=$(sed --quiet 's/^\([A-Z]*\)_IMAGE=\([^"\\]*\)$/"\L\1\E":"\2"/p' "releases/$2/images.env" | paste --serial --delimiters ,)
	printf '{"time":"%s","actor":"%s","action":"%s","release":"%s","images":{%s},"result":"%s","seconds":%d}\n' \
		"$(date --utc +%FT%TZ)" "$(actor)" "$1" "$2" "$images" "$3" "$SECONDS" >>deployments.jsonl ||
		say "deployments.jsonl cannot be written: $1 $2 $3 is not recorded" # the way back matters more
}

# ---- containers

compose() { # RELEASE ARGUMENTS…
	local release=$1
	shift
	SETTINGS_FILE=$settings_file docker compose --ansi never --progress quiet --project-directory "$root" --env-file "$env_file" --env-file "releases/$release/images.env" \
		--file "releases/$release/docker-compose.prod.yml" "$@"
}

# healthy RELEASE SERVICE [OPTIONS]: brings a service up and waits for it, and for nothing else.
healthy() {
	local release=$1 service=$2
	shift 2
	compose "$release" up --detach --no-deps "$@" --wait --wait-timeout "$(setting HEALTH_TIMEOUT 180)" "$service" || {
		say "$service did not become healthy; the last words:"
		compose "$release" logs --no-color --tail 30 "$service" >&2 || true
		return 1
	}
}

# sign_in RELEASE: to ECR, whose passwords hold for half a day, by the instance's role. Who is signed in elsewhere stays so.
sign_in() {
	local registry
	registry=$(image_of "$1" APP_IMAGE)
	registry=${registry%%/*}
	[[ $registry =~ \.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com ]] || return 0
	aws ecr get-login-password --region "${BASH_REMATCH[1]}" | docker login --username AWS --password-stdin "$registry" >/dev/null
}

# data RELEASE: the database and the cache, if they run here. One that runs is left alone, even when the release has another
# image for it: to replace it takes the site off the air, and is an operator's decision.
data() {
	local services
	mapfile -t services < <(data_services)
	[ ${#services[@]} -eq 0 ] || compose "$1" up --detach --no-deps --no-recreate --wait --wait-timeout 120 "${services[@]}"
}

# containers SERVICE [OPTIONS]: the service's own, without those that compose run makes for a moment.
containers() {
	docker ps --quiet --filter label=com.docker.compose.project=portico --filter "label=com.docker.compose.service=$1" \
		--filter label=com.docker.compose.oneoff=False "${@:2}"
}
running() { [ -n "$(containers "$1" --filter status=running)" ]; } # and not ending again and again
container() { containers "$1" --all; }

# stop SERVICE…: SIGTERM, and time for what is under way; the containers stay, for a rollback.
stop() {
	local service id
	for service in "$@"; do
		id=$(containers "$service")
		[ -z "$id" ] || docker stop --time 60 "$id" >/dev/null
	done
}

remove() { # SERVICE…
	local service id
	stop "$@"
	for service in "$@"; do
		id=$(container "$service")
		[ -z "$id" ] || docker rm --force "$id" >/dev/null
	done
}

# ---- the edge

proxy() { docker exec "$(container "proxy-$(state proxy)")" /proxy "$@"; }

# direct RELEASE UPSTREAM TARGET [OPTIONS]: lets the edge send an upstream's requests to a target that proves itself.
direct() {
	local upstream=$2 target=$3 by
	by="release $1, $(actor)"
	shift 3
	proxy deploy "$upstream" --target "$target" --drain "$(setting DRAIN 30s)" --by "$by" "$@" |
		sed 's/^/deploy:   /' >&2
}

lay_down() { # RELEASE COLOUR: the edge's configuration, where the container of that colour looks
	cp "releases/$1/proxy.yaml" "edge/$2/proxy.yaml.new" && mv "edge/$2/proxy.yaml.new" "edge/$2/proxy.yaml"
}

# start_edge RELEASE: when no edge runs, as on the first deploy and after a boot.
start_edge() {
	local colour
	colour=$(state proxy)
	colour=${colour:-blue}
	running "proxy-$colour" || { lay_down "$1" "$colour" && remember proxy "$colour" && healthy "$1" "proxy-$colour"; }
}

# renew_edge RELEASE: gives the edge the configuration of a release, and its program when that is another.
renew_edge() {
	local release=$1 colour
	colour=$(state proxy)
	if [ "$(compose "$release" config --hash "proxy-$colour" | cut --delimiter ' ' --fields 2)" != \
		"$(docker inspect --format '{{index .Config.Labels "com.docker.compose.config-hash"}}' "$(container "proxy-$colour")")" ]; then
		upgrade_edge "$release" "$colour"
	elif ! cmp --quiet "releases/$release/proxy.yaml" "edge/$colour/proxy.yaml"; then
		cp "edge/$colour/proxy.yaml" "edge/$colour/proxy.yaml.before" || return 1
		if ! { lay_down "$release" "$colour" && proxy reload >&2; }; then
			mv "edge/$colour/proxy.yaml.before" "edge/$colour/proxy.yaml"
			return 1
		fi
	fi
}

# upgrade_edge RELEASE COLOUR: the container of the other colour takes over the open sockets, so that nothing is refused; the one
# of COLOUR ends what it has begun, then itself.
upgrade_edge() {
	local release=$1 old=$2 new before
	new=$(other "$old")
	say "the edge changes: proxy-$new takes over from proxy-$old"
	remove "proxy-$new" # it may still end what it had under way when it handed over: 30 s are left for that
	before=$(started "proxy-$old")
	lay_down "$release" "$new" && compose "$release" up --detach --no-deps "proxy-$new" || return 1
	if taken_over "$new" "$old" "$before"; then
		remember proxy "$new"
		return
	fi
	say "proxy-$new did not take over; its last words:"
	docker logs --tail 20 "$(container "proxy-$new")" >&2 || true
	remove "proxy-$new"
	return 1
}

# taken_over NEW OLD BEGAN: waits for the edge of colour NEW to serve in the place of the one of OLD, which began at BEGAN.
taken_over() {
	local now deadline=$((SECONDS + 90))
	while [ $SECONDS -lt $deadline ] && running "proxy-$1"; do
		now=$(started "proxy-$1")
		if { [ -n "$now" ] && [ "$now" != "$3" ]; } || ! running "proxy-$2"; then return; fi
		sleep 0.2
	done
	return 1
}

# started SERVICE: when the process began that serves now, as both containers' shared socket tells.
started() { docker exec "$(container "$1")" /proxy status --json 2>/dev/null | grep --only-matching --max-count 1 '"started": *"[^"]*"' || true; }

# find_edge: which edge serves, when the word of a run that was killed, or met a full disk, may be wrong. Of two that run, the one
# serves that began at the time of which their shared socket tells; a younger one that has not taken over is taken away.
find_edge() {
	local began time since younger colour
	if running proxy-blue && running proxy-green; then
		began=$(started proxy-blue)
		[ -n "$began" ] || began=$(started proxy-green)
		[ -n "$began" ] || return 0
		time=${began#*:}
		time=$(date --date "${time//\"/}" +%s)
		read -r since younger < <(for colour in blue green; do
			printf '%s %s\n' "$(date --date "$(docker inspect --format '{{.State.StartedAt}}' "$(container "proxy-$colour")")" +%s)" "$colour"
		done | sort --numeric-sort --reverse)
		if [ "$time" -ge $((since - 2)) ] || taken_over "$younger" "$(other "$younger")" "$began"; then
			[ "$(state proxy)" = "$younger" ] || remember proxy "$younger"
		else
			[ "$(state proxy)" = "$(other "$younger")" ] || remember proxy "$(other "$younger")"
			remove "proxy-$younger"
		fi
	elif running proxy-blue; then
		[ "$(state proxy)" = blue ] || remember proxy blue
	elif running proxy-green; then
		[ "$(state proxy)" = green ] || remember proxy green
	fi
}

# held: what an operator has set at the edge, a line each: the upstream, and canary, pause or maintenance.
held() {
	proxy status --json 2>/dev/null | grep --only-matching --extended-regexp '"name": *"[^"]*"|"(canary|pause|maintenance)": *\{' |
		awk -F '"' '$2 == "name" {name = $4; next} {print name, $2}' || true
}

# answers: does the site answer through the edge, with a certificate that holds? No answer at all is waited for up to 90 s,
# because a first certificate takes that long; a refusal (4xx, 5xx) for 10 s, because people get it too.
answers() {
	local host url status refusals=0 deadline=$((SECONDS + 90)) tls=()
	if held | grep --quiet --extended-regexp '^app (pause|maintenance)$'; then
		say "the edge holds requests back, as an operator wants: the site is not asked through it"
		return 0
	fi
	host=$(setting SITE_HOST '')
	url=https://$host$(setting SMOKE_PATH /api/health/)
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

# ---- releases

# serve RELEASE COLOUR [OPTIONS]: makes everything be as that release in that colour has it. What is so already stays untouched, so
# that it is also the way back from wherever another run has come. With --no-recreate, app and worker keep the settings that they
# were made with: to what served before one goes back as it was, whatever .env has become.
serve() {
	local release=$1 colour=$2
	shift 2
	as "$colour"
	healthy "$release" "app-$colour" "$@" || return 1
	start_edge "$release" || return 1
	direct "$release" app "127.0.0.1:$(app_port "$colour")" --smoke "$(setting SMOKE_PATH /api/health/)" || return 1
	healthy "$release" "worker-$colour" "$@" || return 1
	direct "$release" flower "127.0.0.1:$(worker_port "$colour")" --grace 1s || return 1 # open pages come again by themselves
	renew_edge "$release" || return 1
	answers || return 1
	stop "worker-$(other "$colour")"
}

# settle RELEASE COLOUR: from here on a boot, or who takes back a run that was killed, stays with it.
settle() {
	local before
	before=$(serving)
	[ "$2" != "$(colour_serving)" ] || before=$(previous)
	remember serving "$2 $1 $before" || return 1
	rm --force state/deploying
	own_settings || say "state/ cannot be written: the next run does the rest"
}

# attempt ACTION RELEASE COLOUR [OPTIONS]: serve, or what served before again.
attempt() {
	local action=$1 release=$2 colour=$3 before before_colour
	shift 3
	before=$(serving) before_colour=$(colour_serving)
	remember deploying "$release $colour $action" || die "$root/state cannot be written: nothing was changed"
	if serve "$release" "$colour" "$@" && settle "$release" "$colour"; then
		record "$action" "$release" ok
		stop "app-$(other "$colour")" || say "app-$(other "$colour") does not stop"
		return
	fi
	record "$action" "$release" failed
	if [ -z "$before" ]; then
		remove "app-$colour" "worker-$colour"
		rm --force state/deploying
		die "$release failed, and there is no release before it to go back to"
	fi
	say "$release failed: back to $before"
	if serve "$before" "$before_colour" --no-recreate; then
		remove "app-$colour" "worker-$colour"
		rm --force state/deploying
		record switch-back "$before" ok
		die "$release failed; $before serves"
	fi
	record switch-back "$before" failed
	die "$release failed, and so did $before: look at 'deploy.sh status' and 'deploy.sh logs'"
}

# recover ends what a run left that was killed: what served before it serves again. Status 1: it does not.
recover() {
	local half
	own_settings || return 1
	rm --force state/*.new
	find_edge
	[ -f state/deploying ] || return 0
	half=$(word deploying 2)
	say "a run for $(word deploying 1) was broken off: going back to $(serving)"
	if [ -n "$(serving)" ]; then
		as "$(colour_serving)"
		if ! { data "$(serving)" && serve "$(serving)" "$(colour_serving)" --no-recreate; }; then
			say "$(serving) does not come back: look at 'deploy.sh logs'"
			return 1
		fi
	fi
	# It may have been killed when all but the last was done: then what it is about is what serves.
	[ "$half" = "$(colour_serving)" ] || remove "app-$half" "worker-$half"
	rm --force state/deploying
}

check_release() { # RELEASE
	local file name
	[[ $1 =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || die "'$1' is not the name of a release"
	for file in docker-compose.prod.yml proxy.yaml images.env deploy.sh backup.sh backup-upload.sh fetch-secrets.sh; do
		[ -f "releases/$1/$file" ] || die "releases/$1/$file is missing: copy the files of that release first"
	done
	for name in PROXY_IMAGE APP_IMAGE WORKER_IMAGE; do
		[[ $(image_of "$1" "$name") =~ @sha256:[0-9a-f]{64}$ ]] || die "releases/$1/images.env: $name must end with @sha256:… (a tag may change its meaning)"
	done
	[[ $(setting HEALTH_TIMEOUT 180) =~ ^[0-9]+$ ]] || die ".env: HEALTH_TIMEOUT is a number of seconds"
	[[ $(setting DRAIN 30s) =~ ^[0-9]+(ms|s|m)$ ]] || die ".env: DRAIN is a time such as 30s"
	[[ $(setting SMOKE_PATH /api/health/) =~ ^/[^[:space:]]*$ ]] || die ".env: SMOKE_PATH begins with a slash"
	compose "$1" config --quiet || die "the settings do not fit: nothing was changed"
}

# no_canary: with one, the edge takes no other release, and would not take the way back either.
no_canary() {
	[ -z "$(serving)" ] || [[ $(held) != *canary* ]] || die "a canary is under way: promote it or end it (deploy.sh proxy canary --help); nothing was changed"
}

# check_network: compose would take the network away under what runs, to make it anew.
check_network() {
	local there
	there=$(docker network inspect --format '{{range .IPAM.Config}}{{.Subnet}}{{end}}' portico_edge 2>/dev/null || true)
	[ -z "$there" ] || [ "$there" = "$(setting EDGE_PREFIX 10.213.81).0/24" ] ||
		die ".env: EDGE_PREFIX cannot change while the network $there is used: nothing was changed"
}

deploy() {
	local release=$1 migrate=() colour script
	[ "${2:-}" != --allow-destructive ] || migrate=(migrate)
	check_release "$release"
	check_network
	no_canary
	recover || say "going on with $release, which may be the remedy"
	colour=$(other "$(colour_serving)")
	keep_settings "$colour" || die "$root/state cannot be written: nothing was changed"
	as "$colour"
	say "$(serving) → $release ($colour)"
	record begin "$release" ok
	sign_in "$release" || die "cannot sign in to ECR: is the AWS CLI there, and may the instance's role pull? Nothing was changed"
	compose "$release" --profile migrate pull --quiet --policy missing "app-$colour" "worker-$colour" "proxy-$colour" migrate ||
		die "cannot pull the images of $release: nothing was changed"
	compose "$release" run --rm --no-deps --no-TTY --volume "$root/releases/$release/proxy.yaml:/check/proxy.yaml:ro" "proxy-$colour" \
		validate --config /check/proxy.yaml >&2 || die "releases/$release/proxy.yaml is not valid: nothing was changed"
	data "$release" || die "the database or the cache does not come up: see 'deploy.sh logs'"
	if ! compose "$release" run --rm --no-deps --no-TTY migrate "${migrate[@]}" >&2; then
		record migrate "$release" failed
		die "the migrations of $release were refused or failed: $(serving) goes on"
	fi
	attempt deploy "$release" "$colour"
	if [ "$here" != "$root" ]; then
		for script in backup.sh backup-upload.sh fetch-secrets.sh deploy.sh; do
			cp "$here/$script" "$script.new" && mv "$script.new" "$script"
		done
	fi
	prune
	say "$release serves, after $SECONDS s"
}

rollback() {
	local colour release half
	no_canary
	half=$(state deploying)
	recover || exit 1
	if [[ -n $(serving) && $half == *" $(other "$(colour_serving)") deploy" ]]; then
		record rollback "$(serving)" ok
		say "$(serving) serves: the release that was to follow it is taken back"
		return
	fi
	colour=$(other "$(colour_serving)")
	release=$(previous)
	[ -n "$release" ] || die "there is no release before $(serving) to go back to"
	as "$colour"
	check_release "$release"
	check_network
	say "$(serving) → $release ($colour), without migrations"
	attempt rollback "$release" "$colour" --no-recreate
	say "$release serves, after $SECONDS s"
}

start() {
	local release colour services
	release=$(serving) colour=$(colour_serving)
	[ -n "$release" ] || { say "nothing was deployed yet" && exit; }
	own_settings
	find_edge
	as "$colour"
	mapfile -t services < <(data_services)
	# All at once, so that the site answers as soon as can be; then one after the other, until all is as it was.
	compose "$release" up --detach --no-deps --no-recreate "${services[@]}" "app-$colour" "worker-$colour" "proxy-$(state proxy)"
	recover || exit 1
	serve "$release" "$colour" --no-recreate || die "$release does not come up: look at 'deploy.sh logs'"
	settle "$release" "$colour" || die "$root/state cannot be written"
	stop "app-$(other "$colour")" || say "app-$(other "$colour") does not stop"
	record start "$release" ok
}

prune() {
	local release image kept
	rm --recursive --force releases/.[!.]* # of a run that was killed
	while read -r release; do
		if [ "$release" != "$(serving)" ] && [ "$release" != "$(previous)" ]; then
			mv "releases/$release" "releases/.$release"
			kept=$(cat releases/[!.]*/images.env)
			for image in $(variable "releases/.$release/images.env" PROXY_IMAGE '') $(variable "releases/.$release/images.env" APP_IMAGE '') \
				$(variable "releases/.$release/images.env" WORKER_IMAGE ''); do
				grep --quiet --fixed-strings "=$image" <<<"$kept" || docker image rm "$image" >/dev/null 2>&1 || true
			done
			rm --recursive --force "releases/.${release:?}"
		fi
	done < <(find releases -mindepth 2 -maxdepth 2 -path 'releases/[!.]*/images.env' -printf '%T@ %h\n' | sed 's,releases/,,' | sort --numeric-sort --reverse |
		tail --lines "+$((keep + 1))" | cut --delimiter ' ' --fields 2-)
}

status() {
	if [ "${1:-}" = --json ]; then
		printf '{"release":"%s","colour":"%s","previous":"%s","proxy":"%s","deploying":"%s"}\n' \
			"$(serving)" "$(colour_serving)" "$(previous)" "$(state proxy)" "$(state deploying)"
		return
	fi
	[ -n "$(serving)" ] || { echo "nothing was deployed yet" && return; }
	echo "serves:   $(serving) ($(colour_serving))"
	echo "before:   $(previous)"
	[ ! -f state/deploying ] || echo "broken off or under way: $(state deploying)"
	backup_status
	echo
	docker ps --all --filter label=com.docker.compose.project=portico --format 'table {{.Label "com.docker.compose.service"}}\t{{.Status}}\t{{.Image}}'
	echo
	proxy status || true
}

# ---- backups

backup_folder() { setting BACKUP_FOLDER ./backups; }

dumps() { # ARGUMENTS of backup.sh
	[ -n "$(serving)" ] || die "nothing was deployed yet"
	[ -f backup.sh ] || die "$root/backup.sh is missing: the first deploy brings it"
	mkdir --parents "$(backup_folder)"
	settings_file=./state/$(colour_serving).settings.env
	compose "$(serving)" run --rm --no-deps --no-TTY --user "$(id --user):$(id --group)" backup "$@"
}

backup() {
	local s3 recipient
	s3=$(setting BACKUP_S3 '') recipient=$(setting BACKUP_AGE_RECIPIENT '')
	if dumps backup && { [ -z "$s3" ] || ./backup-upload.sh "$(backup_folder)" "$s3" ${recipient:+--age-recipient "$recipient"}; }; then
		record backup "$(serving)" ok
	else
		record backup "$(serving)" failed
		die "the backup FAILED: see above"
	fi
}

restore() { # FILE [--replace]
	if dumps restore "$@"; then
		record restore "$(serving)" ok
		say "if the backup is older than $(serving): deploy.sh deploy $(serving), which runs its migrations"
	else
		record restore "$(serving)" failed
		die "nothing was restored: see above"
	fi
}

backup_status() {
	local what
	for what in success upload; do
		[ ! -f "$(backup_folder)/last-$what" ] || echo "last $what of a backup: $(cat "$(backup_folder)/last-$what")"
	done
}

logs() { # [NAME]
	local services=()
	[ -n "$(serving)" ] || die "nothing was deployed yet"
	as "$(colour_serving)"
	case ${1:-} in
	app | worker) services=("$1-$(colour_serving)") ;;
	proxy) services=("proxy-$(state proxy)") ;;
	'') ;;
	*) services=("$1") ;;
	esac
	compose "$(serving)" logs --follow --tail 100 "${services[@]}"
}

# one_at_a_time takes the lock, unless ship.sh has it and hands it on. It waits, because what a run began that was killed has the
# lock until it ends: a container that comes up, requests that drain.
one_at_a_time() {
	[ "${DEPLOY_LOCKED:-}" != yes ] || return 0
	exec 9>>deploy.lock || die "$root/deploy.lock cannot be written: chown it to $(id -un)"
	flock --nonblock 9 || { say "waiting up to a minute for another run: $(cat deploy.lock)" && flock --timeout 60 9; } || die "another run is under way"
	echo "$(actor) since $(date --utc +%FT%TZ)" >deploy.lock
}

case "${1:-} $#" in
"--help 1" | "-h 1" | "help 1" | " 0") usage && exit ;;
esac
[ -f .env ] || die "$root/.env is missing: see docs/deploy.md"
umask 022 # the edge's user reads its configuration; who may come in here at all, the folder says
mkdir --parents state edge/blue edge/green releases # before the engine makes them, as root
case "${1:-} $#" in
"deploy 2") one_at_a_time && deploy "$2" ;;
"deploy 3") [ "$3" = --allow-destructive ] || die "unknown option $3: see deploy.sh --help" && one_at_a_time && deploy "$2" "$3" ;;
"rollback 1") one_at_a_time && rollback ;;
"start 1") one_at_a_time && start ;;
"backup 1") backup ;;
"backups 1") dumps list ;;
"restore 2" | "restore 3") shift && one_at_a_time && restore "$@" ;;
"prune 1") one_at_a_time && prune ;;
"status 1" | "status 2") status "${2:-}" ;;
"logs 1" | "logs 2") logs "${2:-}" ;;
"proxy "*) shift && proxy "$@" ;;
"app "*) shift && docker exec --interactive "$(container "app-$(colour_serving)")" /app "$@" ;;
*) die "no such command: see deploy.sh --help" ;;
esac
