# What people do with users, owners and rights in a RUN, by the programs of Debian.
set -eux
addgroup --gid 2000 team
adduser --uid 1000 --disabled-password --gecos '' agent
adduser agent team
usermod -aG sudo agent
echo 'agent ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/agent
chmod 0440 /etc/sudoers.d/agent

mkdir -p /srv/tree/some/where
echo a > /srv/tree/a
ln /srv/tree/a /srv/tree/hard
ln -s a /srv/tree/link
chown -R agent:team /srv/tree
chmod 2775 /srv/tree
touch /srv/tree/inherits
mkdir /srv/tree/directory
mkfifo /srv/tree/fifo
# Beside the tree, as cpio would copy it as an empty file where devices alone are answered for: it does not look at attributes.
mknod /srv/null c 1 3
chown agent /srv/null
cp -a /srv/null /srv/null-copied

install -o agent -g team -m 4750 /bin/true /usr/local/bin/of-agent
cp /bin/cat /usr/local/bin/capable
setcap cap_net_bind_service=ep /usr/local/bin/capable
getcap /usr/local/bin/capable
setfacl -m u:agent:rw,g:team:r /srv/tree/a
setfacl -d -m u:agent:rwx /srv/tree/directory
getfacl -p /srv/tree/a
cp -a /bin/ping /srv/ping
setfattr -n user.note -v kept /srv/ping

# Every program that copies trees.
cp -a /srv/tree /srv/copied
mkdir /srv/untarred
tar -C /srv --xattrs --acls -cf - tree | tar -C /srv/untarred --xattrs --xattrs-include='*' --acls -xpf -
rsync -aHX --specials /srv/tree/ /srv/synced/
(cd /srv/tree && find . -depth | cpio --quiet -pdm /srv/passed)
python3 -c 'import shutil; shutil.copytree("/srv/tree/some", "/srv/by-python"); shutil.chown("/srv/by-python", "postgres", "team")'

# Users that become others.
su agent -c 'id; touch ~/mine; cp -a /etc/passwd ~/passwd; tar -C /srv -cf ~/t.tar copied/a; mkdir ~/x; tar -C ~/x -xf ~/t.tar; umask 077; echo s > ~/secret; ! chown root ~/mine'
su agent -c 'sudo -n id && sudo -n touch /root/by-sudo && sudo -n -u postgres touch /var/lib/postgresql/by-sudo && sudo -n -g team touch /home/agent/by-group'
su - postgres -c 'id; touch by-login'
setpriv --reuid=www-data --regid=www-data --init-groups sh -c 'id; touch /tmp/by-setpriv'
python3 -c 'import os; os.setgid(33); os.setuid(33); open("/tmp/by-python", "w").close(); assert os.stat("/etc/shadow").st_gid == 42'
! setpriv --reuid=www-data --clear-groups sudo -n true

sed -i 's/^agent:/agent:/' /etc/shadow /etc/group
chpasswd <<'END'
agent:secret
END
stat -c '%U:%G %a %F %n' /srv/* /srv/tree/* /etc/shadow /etc/gshadow /var/lib/postgresql /var/mail /var/spool/cron/* /usr/bin/ssh-agent
