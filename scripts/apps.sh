#!/bin/sh
# Installs packages of npm's that end-to-end tests run, unmodified, into
# .cache/apps/node_modules/, just as internal/e2e/testdata/apps/package-lock.json has them.
#
#   scripts/apps.sh            express, fastify, koa, socket.io, @pm2/io: 40 MB
#   scripts/apps.sh next       Next.js, and builds the app in testdata/next with it: 350 MB
#                              and a minute, for PACELINE_E2E_NEXT=1
#
# Needs only npm. If that cannot install them, it says why and the exit code stays 0:
# the tests then skip, naming this script. With CI set it is an error instead.
set -u

cd "$(dirname "$0")/.." || exit 1
set_of=${1:-apps}
case $set_of in
apps | next) ;;
*) echo "apps: \"$set_of\" is neither apps nor next" >&2 && exit 1 ;;
esac
from=internal/e2e/testdata/$set_of
to=.cache/$set_of

# The build depends on all files, the others only on what is installed.
same() {
	case $set_of in
	apps) cmp -s "$from/package-lock.json" "$to/package-lock.json" ;;
	next) [ -d "$to/built" ] && diff -r "$from" "$to/source" >/dev/null 2>&1 ;;
	esac
}
same && exit 0

fail() {
	echo "apps: $1; the tests skip what needs it"
	[ -z "${CI-}" ] || exit 1
	exit 0
}
command -v npm >/dev/null 2>&1 || fail "no npm on this machine"

# Beside the target and renamed at the end: see node-matrix.sh.
mkdir -p .cache || exit 1
new=$(mktemp -d "$PWD/.cache/.new.XXXXXX") || exit 1
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$new" || exit 1
case $set_of in
apps) cp "$from/package.json" "$from/package-lock.json" "$new" || exit 1 ;;
next) cp -r "$from/." "$new" || exit 1 ;;
esac
if ! (cd "$new" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error \
	--fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=5000) >"$new/log" 2>&1; then
	fail "npm could not install $from ($(sed -n 's/^npm \(error\|ERR!\) //p' "$new/log" | grep -v '^code ' | head -n 1))"
fi
case $set_of in
apps) rm -rf "$to" && mv "$new" "$to" || exit 1 ;;
next)
	(cd "$new" && NEXT_TELEMETRY_DISABLED=1 npm exec --no -- next build) >"$new/log" 2>&1 || {
		tail -n 20 "$new/log"
		fail "Next.js could not build $from"
	}
	rm -rf "$to" && mkdir "$to" && cp -r "$from" "$to/source" && mv "$new/.next/standalone" "$to/built" || exit 1
	;;
esac
echo "apps: $set_of installed in $to"
