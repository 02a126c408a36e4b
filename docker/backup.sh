#!/bin/sh
# Backs up the database and brings it back. It runs in a container of the database's own image, so that pg_dump fits the server,
# and in POSIX sh with short options, since busybox is all there is: docs/backup.md tells how it is called.
set -eu

usage() {
	cat <<'END'
usage: backup.sh COMMAND

  backup                    dump the database into a new file, read it back as a whole, and only then give it its name
  list                      the backups, oldest first, with their sizes
  check [FILE]              read a backup back (default: the newest) and print the rows of each table
  restore FILE [--replace]  bring a backup back into an empty database. --replace also takes one that is not empty: the backup
                            becomes a new database, which takes the place of the old one; that is kept under another name

examples:
  backup.sh backup
  backup.sh restore portico-20260131T031502Z.dump --replace

Settings: DATABASE_URL or DATABASE_URL_FILE; BACKUP_FOLDER (default /backups); BACKUP_KEEP_DAILY (7), BACKUP_KEEP_WEEKLY (4): of
so many days and weeks the newest backup is kept.
END
}

say() { printf 'backup: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

folder=${BACKUP_FOLDER:-/backups}
work=
export LC_ALL=C

finish() {
	status=$?
	trap - EXIT
	[ -z "$work" ] || rm -rf "$work"
	exit $status
}

# ---- the database

# connect lets the programs of PostgreSQL reach the database as service=portico: a URL in their arguments or environment could be
# read in the list of processes.
connect() {
	if [ -n "${DATABASE_URL_FILE:-}" ]; then
		[ -r "$DATABASE_URL_FILE" ] || die "DATABASE_URL_FILE: $DATABASE_URL_FILE cannot be read"
		url=$(cat "$DATABASE_URL_FILE")
	else
		url=${DATABASE_URL:-}
	fi
	unset DATABASE_URL
	printf '%s\n' "$url" | awk '
		function digit(c) { return index("0123456789abcdef", tolower(c)) - 1 }
		function decode(s,  done) {
			while (match(s, /%[0-9A-Fa-f][0-9A-Fa-f]/)) {
				done = done substr(s, 1, RSTART - 1) sprintf("%c", 16 * digit(substr(s, RSTART + 1, 1)) + digit(substr(s, RSTART + 2, 1)))
				s = substr(s, RSTART + 3)
			}
			return done s
		}
		function put(name, value) { if (value != "") print name "=" value }
		{
			if (!sub(/^postgres(ql)?:\/\//, "")) exit 1
			query = ""; if (i = index($0, "?")) { query = substr($0, i + 1); $0 = substr($0, 1, i - 1) }
			database = ""; if (i = index($0, "/")) { database = substr($0, i + 1); $0 = substr($0, 1, i - 1) }
			user = ""; if (match($0, /.*@/)) { user = substr($0, 1, RLENGTH - 1); $0 = substr($0, RLENGTH + 1) }
			password = ""; if (i = index(user, ":")) { password = substr(user, i + 1); user = substr(user, 1, i - 1) }
			hosts = ports = ""
			count = split($0, servers, ",")
			for (n = 1; n <= count; n++) {
				port = ""
				if (match(servers[n], /:[0-9]+$/)) { port = substr(servers[n], RSTART + 1); servers[n] = substr(servers[n], 1, RSTART - 1) }
				gsub(/[][]/, "", servers[n])
				hosts = hosts (n > 1 ? "," : "") decode(servers[n])
				ports = ports (n > 1 ? "," : "") (port == "" ? 5432 : port)
			}
			if (database == "") exit 1
			print "[portico]"
			put("host", hosts); put("port", hosts == "" ? "" : ports); put("user", decode(user)); put("password", decode(password)); put("dbname", decode(database))
			count = split(query, options, "&")
			for (n = 1; n <= count; n++) {
				i = index(options[n], "="); name = substr(options[n], 1, i - 1); value = decode(substr(options[n], i + 1))
				# The programs that serve have settings in their URL that PostgreSQL knows nothing of.
				if (name ~ /^(host|port|sslmode|sslrootcert|sslcert|sslkey|sslnegotiation|connect_timeout|target_session_attrs|channel_binding|gssencmode|options)$/) put(name, value)
				if (name == "sslrootcert") authority = 1
				if (name == "sslmode" && value ~ /^verify/) verified = 1
			}
			if (verified && !authority) put("sslrootcert", "system")
			exit
		}' >"$work/service" || die "DATABASE_URL must be postgres://user:password@host:5432/name"
	export PGSERVICEFILE="$work/service" PGCONNECT_TIMEOUT="${PGCONNECT_TIMEOUT:-10}" PGAPPNAME=backup
}

# sql DATABASE [STATEMENT]: runs a statement, or standard input; "" is the database itself.
sql() {
	target=service=portico
	[ -z "$1" ] || target="$target dbname='$1'"
	shift
	if [ $# -gt 0 ]; then set -- --command "$1"; fi
	psql --no-psqlrc --no-password --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --dbname "$target" "$@"
}

# ---- files

one_at_a_time() {
	exec 9>"$folder/.lock" || die "$folder cannot be written by user $(id -u)"
	flock -n 9 || die "another run is under way in $folder"
}

dumps() { find "$folder" -maxdepth 1 -name 'portico-*T*Z.dump' -exec basename {} \; | sort; }

# rows FILE: reads a backup from its beginning to its end, and prints the rows of each table.
rows() {
	rm -f "$work/broken"
	{ pg_restore --data-only --file=- "$1" || touch "$work/broken"; } | awk '
		within && $0 == "\\." { print rows "\t" table; within = 0; next }
		within { rows++; next }
		/^COPY .* FROM stdin;$/ {
			table = substr($0, 6); sub(/ FROM stdin;$/, "", table)
			quotes = 0
			for (i = 1; i <= length(table); i++) {
				c = substr(table, i, 1)
				if (c == "\"") quotes = !quotes
				if (c == " " && !quotes) { table = substr(table, 1, i - 1); break }
			}
			rows = 0; within = 1
		}
		END { exit within }' >"$work/unsorted" || return 1
	[ ! -e "$work/broken" ] || return 1
	sort "$work/unsorted"
}

# verify FILE: is it as it was when it was written, and can it be read? Its rows go to $work/rows.
verify() {
	[ -f "$1" ] || die "$1 does not exist: see 'backup.sh list'"
	if [ -f "$1.sha256" ]; then
		(cd "$(dirname "$1")" && sha256sum -c "$(basename "$1").sha256") >/dev/null 2>&1 || die "$1 is damaged: its checksum is not that in $1.sha256"
	else
		say "$1 has no checksum beside it: it is only read back"
	fi
	rows "$1" >"$work/rows" || die "$1 is damaged: pg_restore cannot read it to its end"
}

# prune keeps the newest backup of each of the last days and weeks that have one, whatever the date is now.
prune() {
	dumps | sort -r | awk -v days="${BACKUP_KEEP_DAILY:-7}" -v weeks="${BACKUP_KEEP_WEEKLY:-4}" '
		{
			year = substr($0, 9, 4); month = substr($0, 13, 2); day = substr($0, 15, 2)
			# Days since a Monday long ago, in a calendar whose year begins in March.
			y = month > 2 ? year + 0 : year - 1
			m = (month + 9) % 12
			number = 365 * y + int(y / 4) - int(y / 100) + int(y / 400) + int((153 * m + 2) / 5) + day + 1
			week = int(number / 7); keep = NR == 1
			if (number != last_day && days-- > 0) keep = 1
			if (week != last_week && weeks-- > 0) keep = 1
			last_day = number; last_week = week
			if (!keep) print
		}' | while read -r old; do
		rm -f "${folder:?}/$old" "${folder:?}/$old.sha256"
		say "deleted $old"
	done
}

# ---- commands

backup() {
	umask 077
	one_at_a_time
	rm -f "$folder"/.portico-*.partial # of a run that was killed
	name=portico-$(date -u +%Y%m%dT%H%M%SZ).dump
	while [ -e "$folder/$name" ]; do # names are by the second
		sleep 1
		name=portico-$(date -u +%Y%m%dT%H%M%SZ).dump
	done
	partial=$folder/.$name.partial
	if ! { pg_dump --format=custom --no-password --lock-wait-timeout=60s --dbname=service=portico --file="$partial" &&
		rows "$partial" >"$work/rows" && sum=$(sha256sum <"$partial") &&
		printf '%s  %s\n' "${sum%% *}" "$name" >"$partial.sha256" && sync; }; then
		rm -f "$partial" "$partial.sha256"
		die "FAILED: the database was not backed up; the newest backup is $(dumps | tail -n 1 | grep . || echo none)"
	fi
	if [ ! -s "$work/rows" ]; then
		rm -f "$partial" "$partial.sha256"
		die "FAILED: the database has no tables: is it the right one?"
	fi
	# The checksum first: a dump that has its name is complete.
	mv "$partial.sha256" "$folder/$name.sha256" && mv "$partial" "$folder/$name"
	size=$(wc -c <"$folder/$name" | tr -d ' ')
	printf '%s %s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$name" "$size" >"$folder/.last-success.partial" &&
		mv "$folder/.last-success.partial" "$folder/last-success" && sync
	say "$name: $size bytes, $(awk '{ n += $1 } END { print n + 0 " rows in " NR " tables" }' "$work/rows"), read back"
	prune
}

list() {
	dumps | while read -r name; do
		printf '%s\t%s bytes\n' "$name" "$(wc -c <"$folder/$name" | tr -d ' ')"
	done
}

path_of() { case $1 in */*) echo "$1" ;; *) echo "$folder/$1" ;; esac }

check() {
	file=${1:-$(dumps | tail -n 1)}
	[ -n "$file" ] || die "there is no backup in $folder"
	verify "$(path_of "$file")"
	cat "$work/rows"
	say "$file is complete"
}

# load DATABASE FILE: all of it or nothing, and then the rows of each table are counted.
load() {
	pg_restore --no-password --single-transaction --exit-on-error --no-owner --no-privileges --dbname="service=portico dbname='$1'" "$2" || return 1
	awk -F '\t' -v q=\' '{ table = $2; gsub(q, q q, table); printf "SELECT (SELECT count(*) FROM %s) || E%s\\t%s || %s%s%s;\n", $2, q, q, q, table, q }' "$work/rows" >"$work/count.sql"
	sql "$1" <"$work/count.sql" >"$work/counted" || return 1
	sort "$work/counted" | cmp -s - "$work/rows" || die "the rows in $1 are not those of the backup"
	sql "$1" 'ANALYZE' || return 1
}

restore() {
	file=$(path_of "$1")
	case ${2:-} in '' | --replace) ;; *) die "unknown option $2: see backup.sh --help" ;; esac
	verify "$file"
	database=$(sql '' 'SELECT current_database()') || die "the database does not answer (after a restore that was killed: psql --dbname postgres, ALTER DATABASE portico ALLOW_CONNECTIONS true)"
	case $database in *[!A-Za-z0-9_-]*) die "a database named '$database' is not replaced by this script: use pg_restore" ;; esac
	taken=$(sql '' "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'")
	if [ "$taken" = 0 ]; then
		load "$database" "$file" || die "FAILED: $database is empty as before"
	elif [ "${2:-}" = --replace ]; then
		replace "$file"
	else
		die "$database is not empty: restore into a new one, or give --replace (the old one is then kept under another name)"
	fi
	say "$database is as in $(basename "$file"): $(awk '{ n += $1 } END { print n + 0 " rows in " NR " tables" }' "$work/rows"), counted"
}

# replace FILE: fills a database beside the one in use, and swaps their names.
replace() {
	stamp=$(date -u +%Y%m%dT%H%M%SZ)
	new=${database}_new_$stamp old=${database}_before_$stamp
	sql postgres "CREATE DATABASE \"$new\" TEMPLATE template0" || die "FAILED: $database is as before"
	if ! (load "$new" "$1"); then
		sql postgres "DROP DATABASE \"$new\"" || true
		die "FAILED: $database is as before"
	fi
	# Nobody may come in between; whoever is connected, such as the app, comes again by itself and finds the new one.
	if ! sql postgres <<-END; then
		ALTER DATABASE "$database" ALLOW_CONNECTIONS false;
		SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '$database' \\g /dev/null
		BEGIN;
		ALTER DATABASE "$database" RENAME TO "$old";
		ALTER DATABASE "$new" RENAME TO "$database";
		COMMIT;
	END
		sql postgres "ALTER DATABASE \"$database\" ALLOW_CONNECTIONS true" || true
		die "FAILED: $database is as before; the backup is in $new"
	fi
	sql postgres "ALTER DATABASE \"$old\" ALLOW_CONNECTIONS true" || say "$old admits nobody: ALTER DATABASE \"$old\" ALLOW_CONNECTIONS true"
	say "what was there is kept as $old; when it is needed no more: DROP DATABASE \"$old\""
}

case "${1:-} $#" in
"--help 1" | "-h 1" | "help 1" | " 0") usage && exit ;;
"backup 1" | "list 1" | "check 1" | "check 2" | "restore 2" | "restore 3") ;;
*) die "no such command: see backup.sh --help" ;;
esac
[ -d "$folder" ] || die "BACKUP_FOLDER: there is no folder $folder"
trap finish EXIT
trap 'exit 130' HUP INT TERM
work=$(umask 077 && mktemp -d)
case $1 in
backup | restore) connect ;;
esac
"$@"
