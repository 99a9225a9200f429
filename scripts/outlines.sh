#!/bin/sh
# Prints the outline of every Dockerfile in a directory; fails where one has none. usage: scripts/outlines.sh GBUILD DIR
set -eu
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
good=0 bad=0
for file in "$2"/*Dockerfile; do
    if "$1" build --call=outline -f "$file" "$context" >"$context.out" 2>&1; then
        good=$((good + 1))
    else
        bad=$((bad + 1))
        echo "== $file"
        cat "$context.out"
    fi
done
rm -f "$context.out"
echo "$good outlines, $bad failures"
[ "$bad" = 0 ]
