# gbuild by gbuild (or by any other builder): `gbuild build -t gbuild .`
# Where the golang image cannot be reached: --build-arg GO_IMAGE=golang --build-context golang=docker-image://REF|oci-layout://DIR.
# Where no module proxy can be: --build-context modules=$(go env GOMODCACHE)/cache/download.
ARG GO_IMAGE=golang:1.26-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM scratch AS modules

FROM ${GO_IMAGE} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libseccomp-dev make pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG VERSION=image
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    --mount=type=bind,from=modules,target=/modules \
    GOMODCACHE=/go/pkg/mod GOTOOLCHAIN=local GOPROXY="file:///modules,$(go env GOPROXY)" make build VERSION=${VERSION}

FROM ${DEBIAN_IMAGE}
# newuidmap with setuid is root without CAP_SYS_ADMIN in a container, and refuses to map; with file capabilities it works there, too.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git libcap2-bin uidmap \
    && rm -rf /var/lib/apt/lists/* \
    && chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap \
    && setcap cap_setuid=ep /usr/bin/newuidmap \
    && setcap cap_setgid=ep /usr/bin/newgidmap \
    && useradd --create-home --uid 1000 gbuild
COPY --from=build /src/gbuild /usr/local/bin/gbuild
# Overlay mounts need a directory that is not itself on an overlay.
VOLUME /var/lib/gbuild
ENTRYPOINT ["gbuild"]
CMD ["--help"]
