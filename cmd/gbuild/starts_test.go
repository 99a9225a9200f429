package main

import (
	"cmp"
	"os"
	"strings"
	"testing"
)

// starts is a script that starts and stops containers, and writes what there is after the first and after all: mounts, processes, namespaces, sockets,
// files, and control groups with the names of containers. All but the last are those of a namespace that nobody else is in.
const starts = `
there() {
    cut -d ' ' -f 4- /proc/self/mountinfo | sed 's/^/mount /' | sort
    for p in /proc/[0-9]*; do
        [ "${p#/proc/}" = $$ ] || [ ! -r $p/comm ] || echo "process $(cat $p/comm)"
        readlink $p/ns/* | sed 's/^/namespace /'
    done 2>/dev/null | sort -u | grep -vE 'process (sh|cut|sed|sort|grep|readlink|cat|unshare)$'
    for f in tcp tcp6 udp udp6 unix; do tail -n +2 /proc/net/$f | sed "s/^/$f /"; done
    find "$GBUILD_ROOT" "$GBUILD_CACHE_DIR" "$TMPDIR" /dev/shm | sort
    for id in $ids; do find /sys/fs/cgroup -type d -name "*$(echo $id | cut -c 1-12)*"; done
}
cycle() {
    gbuild run --gpus all -v data:/data $IMAGE true
    id=$(gbuild run -d --gpus 2 --memory 64m -p 127.0.0.1::80 $IMAGE sleep 1000)
    gbuild exec $id true
    gbuild stop -t 0 $id >/dev/null
    gbuild rm $id >/dev/null
    ids="$ids $id"
}
mkdir -p "$TMPDIR"
ids=
cycle
first=$(there)
n=2
while [ $n -lt $STARTS ]; do
    cycle
    n=$((n + 2))
done
there >after
echo "$first" >before
diff before after && echo "$n starts and stops"
`

// TestNothingIsLeft starts and stops containers GBUILD_TEST_STARTS times (6), with GPUs, volumes, ports and limits.
func TestNothingIsLeft(t *testing.T) {
	h := newGPUHost(t)
	t.Setenv("STARTS", cmp.Or(os.Getenv("GBUILD_TEST_STARTS"), "6"))
	t.Setenv("IMAGE", h.image)
	t.Setenv("TMPDIR", h.home+"/tmp")
	out, err := h.script(t, starts)
	if err != nil || !strings.Contains(out, "starts and stops") {
		t.Errorf("something is left: %v\n%s", err, out)
	}
	t.Log(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:])
}
