package direct

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listed are the names below a directory, with what they are.
func listed(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("find", dir, "-mindepth", "1", "-printf", "%P %M %U:%G %l\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	for i, line := range lines {
		var st unix.Stat_t
		name, _, _ := strings.Cut(line, " ")
		if line != "" && unix.Lstat(filepath.Join(dir, name), &st) == nil {
			lines[i] += fmt.Sprint(st.Rdev)
		}
	}
	return strings.Join(lines, "\n")
}

// What a command does to devices is undone, also where whoever started it was killed; what is mounted there stays as it is.
func TestDevicesAreWhatTheyWere(t *testing.T) {
	const mischief = `cd %[1]s; rm null link; echo text >null; mkdir -p new/deep; echo x >new/deep/f; echo x >file; mkfifo fifo; ln -s / link; chmod 600 zero; chown 7:7 zero
		rm -r dir; ln -s / dir; mknod more c 1 9; echo written >mounted/by-command; mv mounted elsewhere 2>zero;  echo there; sleep %[2]s`
	for _, kill := range []bool{false, true} {
		c, out := command(t, "")
		dev := t.TempDir()
		for name, minor := range map[string]uint32{"null": 3, "zero": 5} {
			if err := errors.Join(unix.Mknod(dev+"/"+name, unix.S_IFCHR, int(unix.Mkdev(1, minor))), os.Chmod(dev+"/"+name, 0o666)); err != nil {
				t.Skip("no devices can be made here: ", err)
			}
		}
		err := errors.Join(os.Symlink("/proc/self/fd", dev+"/link"), os.MkdirAll(dev+"/dir/in", 0o750), os.Mkdir(dev+"/mounted", 0o755))
		if err == nil {
			err = unix.Mount("tmpfs", dev+"/mounted", "tmpfs", 0, "")
		}
		if err != nil {
			t.Skip("nothing can be mounted here: ", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(dev+"/mounted", unix.MNT_DETACH) })
		before := listed(t, dev)
		if kill {
			killed(t, dev, fmt.Sprintf(mischief, dev, "87.75"))
		} else {
			c.Args, c.Devices = []string{"sh", "-c", fmt.Sprintf(mischief, dev, "0")}, dev
			if status, err := c.Run(t.Context(), time.Second); err != nil || status != 0 {
				t.Fatalf("%v, %v: %s", status, err, out)
			}
		}
		if err := os.Remove(dev + "/mounted/by-command"); err != nil {
			t.Error("in what is mounted:", err)
		}
		if now := listed(t, dev); now != before {
			t.Errorf("killed %v: wanted\n%s\ngot\n%s", kill, before, now)
		}
	}
}

// killed has a process call Run, which is killed when the command says something, and waits until nobody is left.
func killed(t *testing.T, dev, script string) {
	t.Helper()
	caller := exec.Command("/proc/self/exe")
	caller.Env = append(os.Environ(), callerVar+"="+script, callerDevicesVar+"="+dev)
	out, err := caller.StdoutPipe()
	if err == nil {
		err = caller.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	_ = caller.Process.Kill()
	_, _ = io.Copy(io.Discard, out)
	_ = caller.Wait()
}
