# Later steps meet what earlier ones left: as files of a layer below, not as files just made.
set -eux
test "$(stat -c %U:%G /srv/data/a)" = agent:team
test "$(stat -c %u:%g /tmp/by-number)" = 4242:4343
test "$(stat -c %U:%G /srv/of-agent/deep)" = agent:team
mv /srv/data/sub /srv/moved-sub
mv /srv/data/link /srv/moved-link
ln /srv/data/hard /srv/third-name
chmod 700 /srv/data/directory
touch /srv/of-agent/made
echo more >> /srv/given/to-numbers
chown -R service /srv/copied
cp -a /srv/null /srv/null-copied
mv /srv/fifo /srv/fifo-moved
rm -r /srv/untarred/data && mkdir /srv/untarred/data
userdel -r service || true
find / -xdev ! -type s -user agent -o -xdev ! -type s -gid 777 | sort > /srv/seen
