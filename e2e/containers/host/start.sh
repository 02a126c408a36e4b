#!/bin/bash
# What an init system would start: the engine, once it is installed, and sshd.
set -euo pipefail
rm --force /run/docker.pid /run/docker/containerd/containerd.pid
if [ -x /usr/sbin/dockerd ]; then /usr/sbin/dockerd >>/var/log/dockerd.log 2>&1 & fi
exec /usr/sbin/sshd -D -e -o LogLevel=ERROR
