# Sourced by bench-pip.sh: how each builder does what is measured. Of builder B there are: start_B, which sets version, or fails
# and sets why; build_B IMAGE, which builds and pushes; share_B, which puts into the registry what another machine
# can use; cached_B IMAGE, which builds and pushes with that; forget_B, after which nothing is stored.

start_gbuild() { version=$("$gbuild" version); }
build_gbuild() {
    image=$registry/gbuild/$1
    shift
    "$gbuild" --root "$work/gbuild" --cache-dir "$work/gbuild-caches" build --network host --progress plain -t "$image" --push "$@" "$work/context"
}
share_gbuild() {
    build_gbuild app --cache-to "type=registry,ref=$registry/gbuild/cache"
    "$gbuild" --root "$work/gbuild" --cache-dir "$work/gbuild-caches" cache push --downloads "$registry/gbuild/mounts"
}
cached_gbuild() { build_gbuild "$1" --cache-from "$registry/gbuild/cache"; }
mounted_gbuild() { build_gbuild "$1" --cache-mounts-from "$registry/gbuild/mounts"; }
forget_gbuild() { remove "$work/gbuild" && remove "$work/gbuild-caches"; }

start_buildah() {
    why="not installed"
    command -v buildah >/dev/null && version=$(buildah --version)
}
run_buildah() { buildah --root "$work/buildah" --runroot "$work/buildah-run" --storage-driver overlay "$@"; }
build_buildah() {
    image=$registry/buildah/$1
    shift
    run_buildah build --layers --isolation chroot --network host --tls-verify=false -t "$image" "$@" "$work/context" &&
        run_buildah push -q --tls-verify=false "$image"
}
share_buildah() { build_buildah app --cache-to "$registry/buildah/cache"; }
cached_buildah() { build_buildah "$1" --cache-from "$registry/buildah/cache"; }
forget_buildah() { remove "$work/buildah" && remove "$work/buildah-run"; }

# start_docker starts a dockerd of our own: its data, its socket, no change to the host's network.
start_docker() {
    why="needs root"
    [ "$(id -u)" -eq 0 ] || return 1
    why="not installed"
    command -v dockerd >/dev/null && docker_client || return 1
    mkdir -p "$work/docker"
    dockerd --iptables=false --bridge=none --data-root "$work/docker/data" --exec-root "$work/docker/exec" \
        --host "unix://$work/docker/sock" --pidfile "$work/docker/pid" >"$work/dockerd.log" 2>&1 &
    dockerd=$!
    for _ in $(seq 300); do
        ! version=$(run_docker version --format 'docker {{.Server.Version}} (BuildKit)' 2>/dev/null) || return 0
        sleep 0.1
    done
    why="dockerd does not answer: $(tail -1 "$work/dockerd.log")"
    stop_docker
    return 1
}
# docker_client finds the client on PATH that speaks to BuildKit by itself: newer ones need a plugin for that.
docker_client() {
    for docker in $(which -a docker); do
        ! DOCKER_BUILDKIT=1 "$docker" build --help 2>/dev/null | grep -q -e --progress || return 0
    done
    return 1
}
stop_docker() {
    [ -n "${dockerd:-}" ] || return 0
    kill "$dockerd"
    wait "$dockerd" || true
    dockerd=
}
run_docker() { DOCKER_BUILDKIT=1 "$docker" --host "unix://$work/docker/sock" "$@"; }
build_docker() {
    image=$registry/docker/$1
    shift
    run_docker build --network host --progress plain -t "$image" "$@" "$work/context" && run_docker push -q "$image"
}
share_docker() { build_docker app --build-arg BUILDKIT_INLINE_CACHE=1; }
cached_docker() { build_docker "$1" --cache-from "$registry/docker/app"; }
forget_docker() { stop_docker && remove "$work/docker" && start_docker; }

# takers prints the other tools here that pull an image, each with its version. docker pulls it into an engine that has nothing.
takers() {
    if start_docker; then
        ! run_docker pull -q "$1" >&2 || echo "$version"
        forget_docker >&2
        stop_docker
    fi
    ! podman --root "$work/podman" --runroot "$work/podman-run" --storage-driver overlay pull -q --tls-verify=false "$1" >&2 || podman --version
    ! skopeo copy -q --src-tls-verify=false "docker://$1" "dir:$work/skopeo" >&2 || skopeo --version
    remove "$work/podman" && remove "$work/skopeo"
}

# build_elsewhere IMAGE builds and pushes on what passes for another machine: nothing stored, another directory, another user
# where there is one, and for pip a year later, by libfaketime.
build_elsewhere() {
    there=$work/elsewhere
    mkdir "$there" && cp -r "$work/context" "$there/project"
    (cd "$there/project" && apt-get download -qq libfaketime && dpkg-deb -x libfaketime_*.deb . && mv usr/lib/*/faketime/libfaketime.so.1 clock.so)
    sed -i 's|^RUN |RUN --mount=type=bind,target=/mnt export LD_PRELOAD=/mnt/clock.so FAKETIME=+400d; |' "$there/project/Dockerfile"
    set -- "$gbuild" --root "$there/state" --cache-dir "$there/caches" build --network host --progress plain -t "$registry/gbuild/$1" --push \
        --cache-mounts-from "$registry/gbuild/mounts" "$there/project"
    user=$(id -un "${GBUILD_TEST_USER:-tester}" 2>/dev/null) && [ "$(id -u)" -eq 0 ] || user=
    [ -z "$user" ] || { chmod 755 "$work" && chown -R "$user" "$there" && set -- setpriv --reuid "$user" --regid "$user" --init-groups env -i HOME="$there" PATH="$PATH" "$@"; }
    "$@"
}
