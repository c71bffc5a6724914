#!/bin/sh
# Sees to the programs that a task needs.
#
#   scripts/deps.sh node gcc npm?     the named ones; one with "?" is wanted, not needed
#   scripts/deps.sh -n node           installs nothing: only says whether all is there
#
# As root on a system with apt-get it installs what is missing, else it says what
# to install. Prints nothing if all is there. No service is started by it.
set -u

# usable NAME: the program is there and good enough.
usable() {
	case $1 in
	node) # the oldest that the project supports
		major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) && [ "${major:-0}" -ge 18 ] ;;
	gcc) printf '#include <stdlib.h>\nint main(void){return 0;}\n' | gcc -x c -o /dev/null - 2>/dev/null ;;
	jdk) command -v java >/dev/null 2>&1 && command -v javac >/dev/null 2>&1 ;;
	chromium) command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 ;;
	nginx) command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] ;; # a user's PATH often lacks sbin
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

# packages NAME: what Debian and its kin call it.
packages() {
	case $1 in
	node) echo nodejs ;;
	gcc) echo gcc libc6-dev ;;
	nginx) echo nginx-light ;;
	php) echo php-cli ;;
	jdk) # the newest has another number on each release
		if apt-cache show openjdk-17-jdk-headless >/dev/null 2>&1; then echo openjdk-17-jdk-headless; else echo default-jdk-headless; fi ;;
	*) echo "$1" ;;
	esac
}

look=
if [ "${1-}" = -n ]; then
	look=yes
	shift
fi
need= want= missing=
for name in "$@"; do
	program=${name%\?}
	usable "$program" && continue
	if [ "$program" = "$name" ]; then need="$need $program"; else want="$want $program"; fi
	missing="$missing $program"
done
[ -n "$missing" ] || exit 0

# apt ARGS: apt-get without questions, its output into the log.
apt() { DEBIAN_FRONTEND=noninteractive apt-get "$@" >>"$log" 2>&1; }

if [ -z "$look" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	log=$(mktemp)
	policy=/usr/sbin/policy-rc.d
	# Packages of servers start them, unless this program says no. One that is there stays.
	if [ ! -e "$policy" ]; then
		# shellcheck disable=SC2064 # the name as it is now
		trap "rm -f '$policy'" EXIT
		trap 'exit 1' HUP INT TERM
		printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
	fi
	apt update # first: a fresh system knows no package's name
	install=
	for program in $missing; do install="$install $(packages "$program")"; done
	echo "deps: installing$install"
	# One by one if not together: a package that cannot be had must not keep the others away.
	# shellcheck disable=SC2086 # a list of words
	apt install -y --no-install-recommends $install ||
		for package in $install; do
			apt install -y --no-install-recommends "$package" ||
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
	jdk) echo "deps: a JDK is needed, java and javac: install it with your package manager" ;;
	*) echo "deps: $program is needed: install it with your package manager" ;;
	esac
done >&2
exit 1
