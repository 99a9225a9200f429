package keeper

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// killWord makes this program kill what is in its own mount namespace.
const killWord = "GBUILD_TEST_KILL"

func TestMain(m *testing.M) {
	if os.Getenv(killWord) == "" {
		os.Exit(m.Run())
	}
	mounts, err := os.Open("/proc/self/ns/mnt")
	if err != nil {
		os.Exit(1)
	}
	killAll(mounts)
}

func TestWatchRefusesOurOwnNamespace(t *testing.T) {
	for _, pid := range []int{os.Getpid(), os.Getppid()} {
		k := &Keeper{}
		if mounts, err := openMounts(pid); err == nil {
			mounts.Close()
			t.Fatal("it is taken for a sandbox's")
		}
		if err := k.Watch(pid); err == nil || k.mounts != nil {
			t.Error("it is watched")
		}
	}
}

// The shell is in the namespace, and who kills comes from it. Of the programs beside, one has left for another namespace.
func TestKillAllSparesWhereItComesFrom(t *testing.T) {
	const script = `mkfifo up; unshare -m sh -c 'echo >up; exec sleep 1000' & elsewhere=$!
read -r _ <up
sleep 1000 & beside=$!
"$0" || exit
wait $beside; echo "beside: $?"
kill $elsewhere; wait $elsewhere; echo "elsewhere: $?"`
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", script, self)
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), killWord+"=1")
	own := func(id int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: own(os.Getuid()), GidMappings: own(os.Getgid()),
	}
	out, err := cmd.Output()
	if cmd.Process == nil {
		t.Skip("no namespace can be had:", err)
	}
	if err != nil || string(out) != "beside: 137\nelsewhere: 143\n" {
		t.Errorf("%v: %s", err, out)
	}
}
