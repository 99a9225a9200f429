#!/bin/bash
# The step of the action: lint, build, and say to GitHub what came of it. It needs docker and jq, which its runners have.
set -euo pipefail
mkdir -p "$RUNNER_TEMP/gbuild/cache" ~/.docker
file=()
[ -z "${FILE:-}" ] || file=(--file "$FILE")

in_container() {
    local entrypoint=$1
    shift
    docker run --rm --network host --entrypoint "$entrypoint" --workdir /github/workspace \
        --volume "$GITHUB_WORKSPACE:/github/workspace" --volume "$RUNNER_TEMP/gbuild:/gbuild" --volume "$HOME/.docker:/auth:ro" \
        --env DOCKER_CONFIG=/auth --env GBUILD_CACHE_DIR=/gbuild/mounts "$BUILDER" "$@"
}

# Annotations: what the lint rules find.
in_container gbuild build --call check,format=json "${file[@]}" "$CONTEXT" >"$RUNNER_TEMP/gbuild/check.json" || true
jq -r '.sources[0].filename as $name | .warnings[]? |
    "::warning file=\($name),line=\(.location.ranges[0].start.line),title=\(.ruleName)::\(.detail | gsub("%"; "%25") | gsub("\n"; "%0A"))"' \
    "$RUNNER_TEMP/gbuild/check.json"

options=(--digest-file /gbuild/digest --cache-from type=local,src=/gbuild/cache --cache-to type=local,dest=/gbuild/cache)
while read -r tag; do [ -z "$tag" ] || options+=(-t "$tag"); done <<<"$TAGS"
while read -r arg; do [ -z "$arg" ] || options+=("$arg"); done <<<"${ARGS:-}"
[ "$PUSH" != true ] || options+=(--push)
status=0
in_container gbuild build "${options[@]}" "${file[@]}" "$CONTEXT" || status=$?
in_container /busybox/chown -R "$(id -u):$(id -g)" /gbuild # for the cache of the next job, and who reads the digest
if [ $status -ne 0 ]; then
    echo "::error file=${FILE:-$CONTEXT/Dockerfile},title=gbuild::The image was not built (exit status $status); the log of this step says why."
    exit $status
fi

digest=$(cat "$RUNNER_TEMP/gbuild/digest")
echo "digest=$digest" >>"$GITHUB_OUTPUT"
{
    echo '### Image'
    echo '| name | digest |'
    echo '|---|---|'
    while read -r tag; do [ -z "$tag" ] || echo "| \`$tag\` | \`$digest\` |"; done <<<"$TAGS"
} >>"$GITHUB_STEP_SUMMARY"
