# Sourced by other scripts. start_registry DIR runs Debian's docker-registry on a free port of loopback with its files in
# DIR, and sets registry=HOST:PORT and registry_pid. DIR/log has a line for each request.
start_registry() {
    mkdir -p "$1"
    registry=127.0.0.1:$(free_port)
    cat >"$1/config.yml" <<END
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $1/data}, delete: {enabled: true}}
http: {addr: $registry}
END
    docker-registry serve "$1/config.yml" >"$1/log" 2>&1 &
    registry_pid=$!
    for _ in $(seq 100); do
        curl -fs -o "$1/answer" "http://$registry/v2/" && return
        sleep 0.1
    done
    echo "docker-registry does not answer at $registry:" >&2
    cat "$1/log" >&2
    return 1
}

# free_port prints a port of loopback that nobody uses now.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
