#!/usr/bin/env bash
# Makes a fresh Ubuntu (22.04 or newer) or Debian (13 or newer) host ready for deploy.sh. Run it as root; running it again
# changes only what is missing. bootstrap.sh --help
set -euo pipefail

usage() {
	cat <<'END'
usage: bootstrap.sh --site HOST [OPTIONS]

  --site HOST        the name people type, e.g. example.com
  --key 'SSH KEY'    public key that may sign in as the deploying user
  --email ADDRESS    where the certificate authority writes to
  --external-database  PostgreSQL is elsewhere (RDS): put its URL into secrets/database_url
  --external-cache URL  rediss://… of ElastiCache, or none for no cache
  --user NAME        the deploying user (default deploy)
  --folder PATH      where Portico lives (default /opt/portico)
  --swap SIZE        a swap file on hosts with less than 4 GB of memory (default 2G; 0 for none)
  --reboot-at HH:MM  reboot at that time when an update needs it (default: never by itself)

What it does: Docker with compose from the distribution, which unattended-upgrades keeps up to date; a user who may use it; the
folders of deploy.sh with secrets that can be made by chance; a firewall that admits SSH, 80 and 443; swap; kernel settings for
the edge; portico.service, which brings the site up after a boot.

examples:
  ssh root@203.0.113.7 bash -s -- --site example.com --email ops@example.com --key "'$(cat deploy_key.pub)'" <docker/bootstrap.sh
  sudo ./bootstrap.sh --site example.com --external-database --external-cache rediss://cache.example.com:6379/0
END
}

say() { printf 'bootstrap: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

site='' key='' email='' user=deploy folder=/opt/portico swap=2G reboot_at='' database=here cache=here
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage && exit ;;
	--external-database) database=elsewhere && shift && continue ;;
	--site | --key | --email | --external-cache | --user | --folder | --swap | --reboot-at) [ $# -ge 2 ] || die "$1 wants a value" ;;
	*) die "unknown option $1: see bootstrap.sh --help" ;;
	esac
	case $1 in
	--site) site=$2 ;;
	--key) key=$2 ;;
	--email) email=$2 ;;
	--external-cache) cache=$2 ;;
	--user) user=$2 ;;
	--folder) folder=$2 ;;
	--swap) swap=$2 ;;
	--reboot-at) reboot_at=$2 ;;
	esac
	shift 2
done
[ "$(id --user)" = 0 ] || die "run it as root"
[ -n "$site" ] || die "--site is missing: the name people type, e.g. example.com"
[[ $site =~ ^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$ ]] || die "--site $site is not a host name in lower case"
[[ $user =~ ^[a-z_][a-z0-9_-]*$ ]] || die "--user $user is not a user's name"
[[ $folder =~ ^/[A-Za-z0-9/._-]+$ ]] || die "--folder $folder is not a plain absolute path"
[[ $reboot_at =~ ^([0-2][0-9]:[0-5][0-9])?$ ]] || die "--reboot-at $reboot_at is not a time"
[ -z "$key" ] || [[ $key =~ ^(ssh-|ecdsa-|sk-)[a-z0-9@.-]+\ [A-Za-z0-9+/=]+( .*)?$ ]] || die "--key is not one SSH public key"
systemd() { [ -d /run/systemd/system ]; } # not in a container

# put FILE [MODE]: writes standard input to a file, whole or not at all.
put() {
	mkdir --parents "$(dirname "$1")"
	cat >"$1.new"
	chmod "${2:-0644}" "$1.new"
	mv "$1.new" "$1"
}

packages() {
	local compose
	say "packages"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends ca-certificates curl iproute2 openssl ufw unattended-upgrades >/dev/null
	# Before the engine starts: containers are to outlive its updates.
	[ -f /etc/docker/daemon.json ] || put /etc/docker/daemon.json <<'END'
{"live-restore": true, "log-driver": "local", "log-opts": {"max-size": "20m", "max-file": "5"}}
END
	if ! docker compose version >/dev/null 2>&1; then
		# Docker's own packages, if its repository is set up; else the distribution's, which name things differently.
		for compose in docker-compose-plugin docker-compose-v2 docker-compose; do
			[ -z "$(apt-cache search --names-only "^$compose\$")" ] || break
		done
		if [ "$compose" = docker-compose-plugin ]; then
			apt-get install -y -qq --no-install-recommends docker-ce docker-ce-cli containerd.io docker-compose-plugin >/dev/null
		else
			apt-get install -y -qq --no-install-recommends docker.io "$compose" >/dev/null
			[ -z "$(apt-cache search --names-only '^docker-cli$')" ] || apt-get install -y -qq --no-install-recommends docker-cli >/dev/null
		fi
	fi
	docker compose version >/dev/null || die "this distribution has no docker compose 2: use Debian 13, Ubuntu 22.04 or newer, or set up Docker's repository first"
	put /etc/apt/apt.conf.d/52portico <<END
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Automatic-Reboot "$([ -z "$reboot_at" ] && echo false || echo true)";
Unattended-Upgrade::Automatic-Reboot-Time "${reboot_at:-04:00}";
END
	! systemd || { systemctl enable --now --quiet docker unattended-upgrades && systemctl reload docker; } # it may have run before
}

kernel() {
	say "kernel settings"
	put /etc/sysctl.d/60-portico.conf <<'END'
# The edge is nobody in particular and listens on 80 and 443.
net.ipv4.ip_unprivileged_port_start = 80
# What HTTP/3 needs to be fast, and a cache to save its data.
net.core.rmem_max = 7500000
net.core.wmem_max = 7500000
net.core.somaxconn = 4096
vm.overcommit_memory = 1
END
	sysctl --quiet --ignore --load /etc/sysctl.d/60-portico.conf || say "some settings are the container's host's: they were left"
	[ "$(sysctl --values net.ipv4.ip_unprivileged_port_start)" -le 80 ] || die "net.ipv4.ip_unprivileged_port_start cannot be set: the edge could not listen on 80"
	[ "$swap" != 0 ] && [ "$(awk '/^MemTotal/ {print $2}' /proc/meminfo)" -lt 4000000 ] && [ -z "$(swapon --noheadings)" ] || return 0
	say "a swap file of $swap"
	fallocate --length "$swap" /swapfile
	chmod 0600 /swapfile
	mkswap --quiet /swapfile
	swapon /swapfile
	grep --quiet '^/swapfile' /etc/fstab || echo '/swapfile none swap sw 0 0' >>/etc/fstab
}

firewall() {
	say "a firewall that admits SSH, 80, 443"
	local rule
	# Where sshd listens, which need not be 22: nobody is to be locked out.
	for rule in OpenSSH $(ss --no-header --tcp --listening --numeric --processes | awk '/"sshd"/ {sub(/.*:/, "", $4); print $4 "/tcp"}' | sort --unique) 80/tcp 443/tcp 443/udp; do
		ufw allow "$rule" >/dev/null 2>&1 || true
	done
	ufw --force enable >/dev/null || say "the firewall cannot be switched on here: let the security group be one"
}

account() {
	local home
	say "user $user, folder $folder"
	id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
	usermod --append --groups docker "$user"
	home=$(getent passwd "$user" | cut --delimiter : --fields 6)
	if [ -n "$key" ] && ! grep --quiet --fixed-strings --line-regexp "$key" "$home/.ssh/authorized_keys" 2>/dev/null; then
		install --directory --owner "$user" --group "$user" --mode 0700 "$home/.ssh"
		printf '%s\n' "$key" >>"$home/.ssh/authorized_keys"
		chown "$user:$user" "$home/.ssh/authorized_keys"
		chmod 0600 "$home/.ssh/authorized_keys"
	fi
	install --directory --owner "$user" --group "$user" --mode 0750 "$folder"
	install --directory --owner "$user" --group "$user" --mode 0755 "$folder"/{releases,state,edge,backups}
	install --directory --owner "$user" --group "$user" --mode 0700 "$folder/secrets"
	touch "$folder/deploy.lock" "$folder/deployments.jsonl" # else the first call makes them, which may be root's
	chown "$user:$user" "$folder/deploy.lock" "$folder/deployments.jsonl"
}

have() { [ -s "$folder/secrets/$1" ]; }

# keep NAME: standard input becomes a secret's file. The folder is closed; the file is readable, since the programs' user in the
# containers is another.
keep() { put "$folder/secrets/$1" 0444 && chown "$user:$user" "$folder/secrets/$1"; }

settings() {
	local profiles=()
	say "secrets and .env"
	have secret_key || openssl rand -hex 48 | tr --delete '\n' | keep secret_key
	have flower_basic_auth || printf 'admin:%s' "$(openssl rand -hex 16)" | keep flower_basic_auth
	have postgres_password || openssl rand -hex 32 | tr --delete '\n' | keep postgres_password
	if [ "$database" = here ]; then
		profiles+=(database)
		have database_url || printf 'postgres://portico:%s@postgres:5432/portico?sslmode=disable' "$(cat "$folder/secrets/postgres_password")" | keep database_url
	fi
	[ "$cache" != here ] || profiles+=(cache)
	[ -f "$folder/secrets/database_ca" ] || keep database_ca </dev/null
	have smtp_url || printf 'mailbox:' | keep smtp_url
	[ -f "$folder/.env" ] || {
		echo "SITE_HOST=$site"
		echo "ACME_EMAIL=$email"
		(IFS=, && echo "COMPOSE_PROFILES=${profiles[*]}")
		case $cache in here) ;; none) echo REDIS_URL= ;; *) echo "REDIS_URL=$cache" ;; esac
	} | put "$folder/.env" 0640
	chown "$user:$user" "$folder/.env"
}

unit() {
	say "portico.service"
	put /etc/systemd/system/portico.service <<END
[Unit]
Description=Portico: brings the site up after a boot
Requires=docker.service
After=docker.service network-online.target
Wants=network-online.target

# Active also before the first deploy, so that a restart of the engine restarts it: the edge does not come back by itself.
[Service]
Type=oneshot
RemainAfterExit=yes
User=$user
ExecStart=/bin/sh -c '[ ! -x $folder/deploy.sh ] || exec $folder/deploy.sh start'
TimeoutStartSec=10min
Restart=on-failure
RestartSec=15s

[Install]
WantedBy=multi-user.target
END
	put /etc/systemd/system/portico-backup.service <<END
[Unit]
Description=Portico: backs the database up
Requires=docker.service
After=docker.service network-online.target
ConditionPathExists=$folder/state/serving

[Service]
Type=oneshot
User=$user
ExecStart=$folder/deploy.sh backup
TimeoutStartSec=6h
Nice=10
IOSchedulingClass=idle
END
	put /etc/systemd/system/portico-backup.timer <<END
[Unit]
Description=Portico: a backup of the database every night

[Timer]
OnCalendar=*-*-* 03:15:00 UTC
RandomizedDelaySec=15min
Persistent=true

[Install]
WantedBy=timers.target
END
	! systemd || { systemctl daemon-reload && systemctl enable --now --quiet portico.service && systemctl enable --now --quiet portico-backup.timer; }
}

packages
kernel
account
firewall
settings
unit
say "ready for deploy.sh in $folder, as user $user"
have database_url || say "still to do: postgres://…?sslmode=verify-full&sslrootcert=/run/secrets/database_ca into $folder/secrets/database_url"
[ "$(cat "$folder/secrets/smtp_url")" != mailbox: ] || say "still to do: smtp://user:password@host:587 into $folder/secrets/smtp_url (until then mail is kept at /mailbox/)"
