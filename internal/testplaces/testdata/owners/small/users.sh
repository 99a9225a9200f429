# Users, groups and what belongs to them, as people write it in a Dockerfile.
set -eux
groupadd -g 2000 team
useradd -m -u 1000 -G team -s /bin/bash agent
groupadd --system --gid 777 service
useradd --system --uid 777 --gid 777 --home-dir /var/lib/service --create-home --shell /usr/sbin/nologin service
usermod -aG team service

mkdir -p /srv/data/sub
echo a > /srv/data/a
ln /srv/data/a /srv/data/hard
ln -s a /srv/data/link
ln -s nowhere /srv/data/dangling
chown -R agent:team /srv/data
chown -h 33:34 /srv/data/link
chown -h :service /srv/data/dangling

# What is made in a set-group directory has its group, and directories pass that on.
chmod 2775 /srv/data
touch /srv/data/inherits
mkdir -p /srv/data/directory/below
mkfifo /srv/data/fifo
ln -s a /srv/data/inheriting-link

# A change of the owner takes set-user rights away, and install gives them afterwards.
cp /bin/true /srv/set-user
chmod 6755 /srv/set-user
chown agent /srv/set-user
install -o agent -g team -m 4750 /bin/true /usr/local/bin/as-agent
install -d -o service -g service -m 1770 /var/lib/service/sticky

mknod /srv/null c 1 3
mknod -m 660 /srv/loop b 7 0
chown agent:team /srv/null
mkfifo -m 622 /srv/fifo
chown service:service /srv/fifo

# Files of the base: given away, renamed, linked, and rewritten by programs that copy the owner that they see.
cp -p /etc/shadow /etc/shadow.copied
mv /etc/issue /etc/issue.moved
chown agent:team /etc/issue.net
ln /etc/debian_version /srv/base-linked
chown 12:34 /srv/base-linked
sed -i 's/^agent:/agent:/' /etc/shadow
cp -a /srv/data /srv/copied
mkdir /srv/untarred
tar -C /srv -cf - data | tar -C /srv/untarred -xpf -

su agent -c 'id && touch ~/mine && mkdir -p ~/some/where && ln -s mine ~/link && ! chown root ~/mine && umask 027 && echo secret > ~/secret && cp -a /srv/data ~/data && chgrp team ~/some'
su -s /bin/sh service -c 'id && touch /var/lib/service/sticky/by-service'

# What is made again under a name belongs to who made it.
touch /srv/again && chown agent /srv/again && rm /srv/again && touch /srv/again
touch /srv/replaced /srv/replacing && chown agent /srv/replaced && chown service /srv/replacing && mv /srv/replacing /srv/replaced
