# The images of gbuild, built by gbuild or by any other builder: `gbuild build -t gbuild .`, and with a shell `--target debug`.
# Everything of ours lies below /.gbuild, which /.gbuild/image says: the rest of / is free for what is built there.
# For another architecture nothing has to be emulated: --platform linux/arm64.
# Where the golang image cannot be reached: --build-arg GO_IMAGE=golang --build-context golang=docker-image://REF|oci-layout://DIR.
# Where no module proxy can be: --build-context modules=$(go env GOMODCACHE)/cache/download.
# With a binary that is there already: --build-context build=DIR, where DIR/src/gbuild is a static one.
ARG GO_IMAGE=golang:1.26-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM scratch AS modules

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
ARG TARGETARCH
RUN --mount=type=bind,source=scripts/image,target=/image /image/compilers.sh ${TARGETARCH}
WORKDIR /src
COPY . .
ARG VERSION=image
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    --mount=type=bind,from=modules,target=/modules \
    GOMODCACHE=/go/pkg/mod GOTOOLCHAIN=local GOPROXY="file:///modules,$(go env GOPROXY)" \
    scripts/image/compile.sh ${TARGETARCH} ${VERSION}

# Git, ssh, newuidmap and certificates are Debian's, moved below /.gbuild with the libraries that they need.
FROM --platform=$BUILDPLATFORM ${DEBIAN_IMAGE} AS programs
RUN apt-get update && apt-get install -y --no-install-recommends libcap2-bin patchelf && rm -rf /var/lib/apt/lists/*
ARG TARGETARCH
RUN --mount=type=bind,source=scripts/image,target=/image /image/collect.sh ${TARGETARCH} /rootfs /debug

FROM scratch AS common
COPY --from=programs /rootfs/ /
COPY --from=build /src/gbuild /.gbuild/bin/gbuild
ENV PATH=/.gbuild/bin:/kaniko \
    GBUILD_ROOT=/var/lib/gbuild/state \
    GBUILD_CACHE_DIR=/var/lib/gbuild/caches \
    TMPDIR=/.gbuild/tmp \
    SSL_CERT_FILE=/.gbuild/certs/ca-certificates.crt \
    SSL_CERT_DIR=/kaniko/ssl/certs \
    GIT_SSL_CAINFO=/.gbuild/certs/ca-certificates.crt \
    GIT_EXEC_PATH=/.gbuild/libexec
# Overlay mounts need a directory that is not itself on an overlay.
VOLUME /var/lib/gbuild
ENTRYPOINT ["gbuild"]
CMD ["--help"]

FROM common AS debug
COPY --from=programs /debug/ /
ENV PATH=/.gbuild/bin:/kaniko:/busybox

FROM common AS gbuild
