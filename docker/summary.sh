#!/usr/bin/env bash
# What a deployment came to, as Markdown for people: the workflow's last step. All it tells is in the environment, and in the
# files images.env, switch.log and status.log of the working folder.
set -euo pipefail

fence='```'
row() { printf '| %s | %s |\n' "$1" "$2"; }

# verdict: one sentence, by how the steps of the workflow ended.
verdict() {
	if [ "$SWITCHED" = failure ] && grep --quiet '^ship: .*\(goes on there\|may still run\)' switch.log 2>/dev/null; then
		echo "**Not known.** The host could not be asked to the end, and goes on with what it had begun. On the host: \`deploy.sh status\`."
		return
	fi
	case "$ACTION $SWITCHED $OUTSIDE $ROLLED_BACK $AGAIN" in
	"deploy success success"*) echo "**$RELEASE serves** $SITE_URL." ;;
	"$ACTION success skipped"*) echo "**Done on the host**, behind the maintenance page or the pause that an operator has set there." ;;
	"rollback success success"*) echo "**The release before serves** $SITE_URL again." ;;
	"deploy success failure success success") echo "**Rolled back.** With $RELEASE, $SITE_URL did not answer from outside; with the release before it does." ;;
	"deploy success failure success"*) echo "**$SITE_URL does not answer from outside**, neither with $RELEASE nor, rolled back, with the release before: is it the name, the firewall, the host?" ;;
	"deploy success failure"*) echo "**$SITE_URL does not answer from outside, and the rollback failed.** On the host: \`deploy.sh status\`." ;;
	"rollback success failure"*) echo "**Rolled back, and yet $SITE_URL does not answer from outside.**" ;;
	"deploy failure"*) echo "**Not deployed.** The host refused $RELEASE, or went back by itself to what served before; it says why below." ;;
	"rollback failure"*) echo "**Not rolled back.** The host says why below." ;;
	*) echo "**Nothing was sent to the host.** The log of the first step that failed says why." ;;
	esac
}

# named OUTCOME: the word of a step's outcome for people.
named() {
	case $1 in
	success) echo yes ;;
	failure) echo '**no**' ;;
	*) echo '–' ;;
	esac
}

printf '## %s\n\n%s\n\n| | |\n| --- | --- |\n' "${ACTION^}" "$(verdict)"
[ "$ACTION" = rollback ] || row release "$RELEASE"
if [ "$DEPLOY_VIA" = ssm ]; then row host "$DEPLOY_INSTANCE, by Systems Manager"; else row host "$DEPLOY_HOST, by SSH"; fi
row 'the host has switched' "$(named "$SWITCHED")"
row 'answers from outside' "$(named "$OUTSIDE")"
if [ "$OUTSIDE" = failure ] && [ "$ACTION" = deploy ]; then
	row 'rolled back' "$(named "$ROLLED_BACK")"
	row 'answers from outside after that' "$(named "$AGAIN")"
fi
# shellcheck disable=SC2016 # the marks are Markdown's
[ ! -f images.env ] || sed --quiet 's/^\([A-Z]*\)_IMAGE=\(.*\)$/| image of \L\1\E | `\2` |/p' images.env
[ ! -f switch.log ] || printf '\n<details><summary>What the host said</summary>\n\n%s\n%s\n%s\n</details>\n' "$fence" "$(tail --bytes 60000 switch.log)" "$fence"
[ ! -f status.log ] || printf '\n<details><summary>What serves</summary>\n\n%s\n%s\n%s\n</details>\n' "$fence" "$(tail --bytes 60000 status.log)" "$fence"
