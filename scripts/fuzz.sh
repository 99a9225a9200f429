#!/bin/sh
# Runs every fuzz target for a time. usage: scripts/fuzz.sh [TIME]
set -eu
cd "$(dirname "$0")/.."
grep -rl --include='*_test.go' '^func Fuzz' pkg internal cmd | while read -r file; do
    sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
        echo "== $target in ${file%/*}"
        go test -tags seccomp -run '^$' -fuzz "^$target\$" -fuzztime "${1:-20s}" "./${file%/*}"
    done
done
