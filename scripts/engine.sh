#!/bin/sh
# Makes docker reach a Docker Engine: the one that answers already, or, where root has dockerd installed, one of our own, whose files are in
# DIR and which makes no bridge and no rules in the host's network. It prints the DOCKER_HOST of that one, or an empty line, and ends it when
# its own input ends; without any engine it fails. Other scripts source it, and call start_engine DIR and stop_engine.
# usage: scripts/engine.sh DIR

# start_engine DIR sets DOCKER_HOST and engine_pid, or leaves the second empty. Without any engine it does nothing.
start_engine() {
    engine_pid= engine_dir=$1
    ! docker info >/dev/null 2>&1 || return 0
    [ "$(id -u)" -eq 0 ] && command -v docker >/dev/null && command -v dockerd >/dev/null || return 0
    mkdir -p "$engine_dir"
    export DOCKER_HOST="unix://$engine_dir/socket"
    dockerd --iptables=false --bridge=none --data-root "$engine_dir/data" --exec-root "$engine_dir/exec" --pidfile "$engine_dir/pid" \
        --host "$DOCKER_HOST" >"$engine_dir/log" 2>&1 </dev/null &
    engine_pid=$!
    for _ in $(seq 300); do
        ! docker info >/dev/null 2>&1 || return 0
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.1
    done
    echo "dockerd does not answer:" >&2
    tail -n 5 "$engine_dir/log" >&2
}

# stop_engine ends our own engine, and what it mounted for containers that had the host's network.
stop_engine() {
    [ -n "${engine_pid:-}" ] || return 0
    kill "$engine_pid" 2>/dev/null || true
    wait "$engine_pid" 2>/dev/null || true
    umount "$engine_dir/exec/netns/default" 2>/dev/null || true
    rm -rf "$engine_dir"
}

case $0 in
*/engine.sh)
    trap stop_engine EXIT
    start_engine "$1"
    docker info >/dev/null || exit 1
    [ -n "$engine_pid" ] && echo "$DOCKER_HOST" || echo
    cat >/dev/null
    ;;
esac
