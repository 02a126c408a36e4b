#!/usr/bin/env bash
# What a deployment came to, as Markdown for people: the workflow's last step. All it tells is in the environment, and in the
# files images.env and switch.log of the working folder.
set -euo pipefail

fence='```'
row() { printf '| %s | %s |\n' "$1" "$2"; }

printf '## %s: %s\n\n| | |\n| --- | --- |\n' "$ACTION" "$RESULT"
[ "$ACTION" = rollback ] || row release "$RELEASE"
if [ "$DEPLOY_VIA" = ssm ]; then row host "$DEPLOY_INSTANCE, by Systems Manager"; else row host "$DEPLOY_HOST, by SSH"; fi
row switched "$SWITCHED"
row "$SITE_URL from outside" "$OUTSIDE"
row 'rolled back' "$ROLLED_BACK"
[ ! -f images.env ] || printf '\n%s\n%s\n%s\n' "$fence" "$(cat images.env)" "$fence"
[ ! -f switch.log ] || printf '\n<details><summary>What the host said</summary>\n\n%s\n%s\n%s\n</details>\n' "$fence" "$(tail -c 60000 switch.log)" "$fence"
