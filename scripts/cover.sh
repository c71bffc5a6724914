#!/bin/sh
# Coverage of the unit tests and, through a binary built with -cover, of the
# end-to-end tests, merged. Writes .cache/cover/all.txt, for `go tool cover`.
set -eu
cd "$(dirname "$0")/.."
dir=$PWD/.cache/cover
rm -rf "$dir"
mkdir -p "$dir/unit" "$dir/e2e"
go test -cover -coverpkg ./... ./... -args -test.gocoverdir="$dir/unit"
(cd internal/e2e && PACE_COVER="$dir/e2e" go test -count=1 .)
go tool covdata textfmt -i "$dir/unit,$dir/e2e" -o "$dir/all.txt"
go tool cover -func "$dir/all.txt" | tail -n 1
echo "by line: go tool cover -html $dir/all.txt"
