#!/bin/sh
# Sees to the programs that a task needs.
#
#   scripts/deps.sh node gcc npm?     the named ones; one with "?" is wanted, not needed
#
# As root on a system with apt-get it installs what is missing, else it says what
# to install. Prints nothing if all is there.
set -u

# usable NAME: the program is there and good enough.
usable() {
	case $1 in
	node) # the oldest that the project supports
		major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) && [ "${major:-0}" -ge 18 ] ;;
	gcc) printf '#include <stdlib.h>\nint main(void){return 0;}\n' | gcc -x c -o /dev/null - 2>/dev/null ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

# packages NAME: what Debian and its kin call it.
packages() {
	case $1 in
	node) echo nodejs ;;
	gcc) echo gcc libc6-dev ;;
	*) echo "$1" ;;
	esac
}

need= want= install=
for name in "$@"; do
	program=${name%\?}
	usable "$program" && continue
	if [ "$program" = "$name" ]; then need="$need $program"; else want="$want $program"; fi
	install="$install $(packages "$program")"
done
[ -n "$need$want" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "deps: installing$install"
	log=$(mktemp)
	# One by one if not together: a package that cannot be had must not keep the others away.
	# shellcheck disable=SC2086 # a list of words
	apt-get update >"$log" 2>&1
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $install >>"$log" 2>&1 ||
		for package in $install; do
			DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package" >>"$log" 2>&1 ||
				{ echo "deps: apt-get could not install $package:"; tail -n 3 "$log"; }
		done
	rm -f "$log"
fi

missing=
for program in $need; do usable "$program" || missing="$missing $program"; done
for program in $want; do usable "$program" || echo "deps: without $program some tests are skipped"; done
[ -n "$missing" ] || exit 0
for program in $missing; do
	case $program in
	node) echo "deps: Node 18 or newer is needed, as \`node\` in PATH: install nodejs with your package manager" ;;
	gcc) echo "deps: gcc and the C library's headers are needed, for Go's race detector" ;;
	*) echo "deps: $program is needed: install it with your package manager" ;;
	esac
done >&2
exit 1
