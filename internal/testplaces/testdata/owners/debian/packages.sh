# Packages whose installation makes users, gives files away, asks who owns what, and changes who it is.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends \
    acl adduser at attr bind9 cpio cron dbus exim4-daemon-light git gnupg iputils-ping libcap2-bin locales man-db mlocate nginx-light \
    ntpsec openssh-server postgresql procps redis-server rsync screen sudo tcpdump udev >/tmp/log 2>&1 || { tail -n 40 /tmp/log; exit 1; }
rm /tmp/log
find /etc/ssl/certs -lname ssl-cert-snakeoil.pem -delete # links that are called by a digest of the host's name
