#!/bin/sh
# Installs the packages of npm's that end-to-end tests run, unmodified, into
# .cache/npm/node_modules/.
#
#   scripts/npm-packages.sh           install what is missing
#   scripts/npm-packages.sh --check   install nothing, say what is there
#
# Needs only npm and whatever registry it is set to. A package that cannot be had is
# named, with the reason, and the exit code stays 0: its tests then skip, naming this
# script. With PACELINE_NPM_REQUIRED=1 a missing package is an error instead.
set -u

cd "$(dirname "$0")/.." || exit 1
cache=$PWD/.cache/npm

check=no
[ "${1-}" = --check ] && check=yes

missing=
skip() {
	echo "$1: skipped: $2"
	missing="$missing $1"
}

for package in @pm2/io@6.1.0; do
	name=${package%@*}
	if [ -f "$cache/node_modules/$name/package.json" ]; then
		echo "$package: in .cache/npm"
		continue
	fi
	[ $check = no ] || { skip "$package" "not installed"; continue; }
	command -v npm >/dev/null 2>&1 || { skip "$package" "no npm on this machine"; continue; }
	mkdir -p "$cache" || exit 1
	if npm install --prefix "$cache" --no-save --no-package-lock --no-audit --no-fund \
		--ignore-scripts --loglevel=error --fetch-retry-mintimeout=1000 \
		--fetch-retry-maxtimeout=5000 "$package" >"$cache/log" 2>&1 &&
		[ -f "$cache/node_modules/$name/package.json" ]; then
		echo "$package: installed in .cache/npm"
	else
		reason=$(sed -n 's/^npm \(error\|ERR!\) //p' "$cache/log" | grep -v '^code ' | head -n 1)
		skip "$package" "npm could not install it (${reason:-no output})"
	fi
done

if [ -n "$missing" ]; then
	echo "npm-packages: tests are skipped for want of$missing"
	[ -z "${PACELINE_NPM_REQUIRED-}" ] || exit 1
fi
exit 0
