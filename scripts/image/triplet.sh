# Sourced by the scripts beside it. triplet ARCH is the name that compilers and libraries have for one of Debian's architectures.
triplet() {
    case $1 in
    amd64) echo x86_64-linux-gnu ;;
    arm64) echo aarch64-linux-gnu ;;
    *) echo "there is no image for $1: it is amd64 or arm64" >&2 && exit 1 ;;
    esac
}
