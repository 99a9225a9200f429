// This file owns a cluster of Slurm on loopback: a controller and a node, both of this machine, by Debian's packages.

package testplaces

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// slurmConfig is what a cluster of one machine needs; no job is accounted, authenticated or confined.
const slurmConfig = `ClusterName=test
SlurmctldHost=%[1]s(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
SlurmctldPort=%[2]d
SlurmdPort=%[3]d
StateSaveLocation=%[4]s/state
SlurmdSpoolDir=%[4]s/spool
SlurmctldPidFile=%[4]s/controller.pid
SlurmdPidFile=%[4]s/node.pid
SlurmctldLogFile=%[4]s/controller.log
SlurmdLogFile=%[4]s/node.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
AccountingStorageType=accounting_storage/none
NodeName=%[1]s NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`

// inJob hands the command to the cluster as a batch job of the user that is no person, and says what the job said.
var inJob = []string{"setpriv", "--reuid", jobUser, "--regid", jobUser, "--clear-groups", "env", "-i", "PATH=" + os.Getenv("PATH"), "USER=" + jobUser,
	"HOME=$DIR/area/home", "SLURM_CONF=$WORLD/cluster/slurm.conf", "sh", "-c", `out=$(mktemp $DIR/area/out.XXXXXX)
{ printf '#!/bin/sh\n'; printf "'%s' " "$@"; printf '\necho $? > %s.code\n' "$out"; } > "$out.job"
sbatch --quiet --chdir "$DIR/area" --output "$out" "$out.job"
until [ -s "$out.code" ]; do sleep 0.1; done
cat "$out"; exit $(cat "$out.code")`, "sh"}

// jobUser is in Debian's list of users, as slurmd demands, and has no subordinate ids.
const jobUser = "www-data"

// startSlurm starts the cluster; it ends with the test.
func (w *world) startSlurm(t *testing.T) {
	t.Helper()
	w.making.Lock()
	defer w.making.Unlock()
	dir := filepath.Join(w.dir, "cluster")
	if err := os.Mkdir(dir, 0o755); errors.Is(err, os.ErrExist) {
		return
	} else if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(slurmConfig, host, freePort(t), freePort(t), dir)
	if err := os.WriteFile(filepath.Join(dir, "slurm.conf"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	environ := append(os.Environ(), "SLURM_CONF="+filepath.Join(dir, "slurm.conf"))
	for _, daemon := range []*exec.Cmd{exec.Command("slurmctld", "-D", "-i"), exec.Command("slurmd", "-D")} {
		daemon.Env = environ
		if err := daemon.Start(); err != nil {
			t.Fatal(err)
		}
		w.cleanUp(func() { _ = daemon.Process.Kill(); _ = daemon.Wait() })
	}
	for range 300 {
		info := exec.Command("sinfo", "--noheader", "--format", "%T")
		info.Env = environ
		if out, _ := info.Output(); string(out) == "idle\n" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "controller.log"))
	t.Fatalf("the cluster does not start:\n%s", log)
}

// TestJobOfThePage runs the job that docs/hpc.md shows.
func TestJobOfThePage(t *testing.T) {
	if err := needs["slurm"](); err != nil {
		t.Skip("slurm is needed: ", err)
	}
	page, err := os.ReadFile("../../docs/hpc.md")
	if err != nil {
		t.Fatal(err)
	}
	_, job, _ := strings.Cut(string(page), "```bash\n")
	job, _, found := strings.Cut(job, "```")
	if !found {
		t.Fatal("docs/hpc.md shows no job")
	}
	w := newWorld(t)
	m := (&place{name: "job", needs: []string{"slurm"}}).make(t, w)
	if err := w.builds["c"].write(w, filepath.Join(m.dir, "c")); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(m.dir, "build.sh")
	if err := os.WriteFile(script, []byte(strings.ReplaceAll(job, "registry.example", w.registry.Host())), 0o644); err != nil {
		t.Fatal(err)
	}
	area := filepath.Join(m.dir, "area")
	submit := exec.Command("setpriv", "--reuid", jobUser, "--regid", jobUser, "--clear-groups", "sbatch", "--quiet", "--output", filepath.Join(area, "out"), script)
	submit.Dir = filepath.Join(m.dir, "c")
	submit.Env = []string{"PATH=" + w.dir + ":" + os.Getenv("PATH"), "HOME=" + filepath.Join(area, "home"), "TMPDIR=" + area, "SLURM_CONF=" + filepath.Join(w.dir, "cluster", "slurm.conf")}
	if out, err := submit.CombinedOutput(); err != nil {
		t.Fatal(said(err, out))
	}
	said := ""
	for range 1200 {
		out, _ := os.ReadFile(filepath.Join(area, "out"))
		if said = string(out); strings.Contains(said, "\nnames: ") || strings.Contains(said, "gbuild: error:") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !strings.Contains(said, "names: "+w.registry.Host()+"/team/agent:v1") {
		t.Fatalf("the job said\n%s", said)
	}
	w.builds["c"].look(t, w.registry.Host()+"/team/agent:v1", w.reference(t, "c"))
}

// freePort is one that nobody listens on now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
