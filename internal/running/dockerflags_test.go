package running

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// dockerFlags are those of docker run, versions 28 and 29, and the ones of podman run that are pasted often. --health-* are those of
// the image's HEALTHCHECK.
const dockerFlags = `add-host annotation attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile cpu-period cpu-quota
cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems detach detach-keys device device-cgroup-rule device-read-bps device-read-iops
device-write-bps device-write-iops disable-content-trust dns dns-option dns-opt dns-search domainname entrypoint env env-file expose gpus group-add health-cmd
health-interval health-retries health-start-interval health-start-period health-timeout help hostname init interactive ip ip6 ipc isolation kernel-memory
label label-file link link-local-ip log-driver log-opt mac-address memory memory-reservation memory-swap memory-swappiness mount name net network network-alias
no-healthcheck oom-kill-disable oom-score-adj pid pids-limit platform privileged publish publish-all pull quiet read-only restart rm runtime
security-opt shm-size sig-proxy stop-signal stop-timeout storage-opt sysctl tmpfs tty ulimit use-api-socket user userns uts volume volume-driver
volumes-from workdir`

// Each flag of docker run is done, or is said to have no effect, or is refused with what to do instead; none is unknown.
func TestEveryFlagOfDockerIsKnown(t *testing.T) {
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	New().Flags(f)
	for _, name := range strings.Fields(dockerFlags) {
		if f.Lookup(name) == nil {
			t.Errorf("--%s is unknown", name)
		}
	}
	for _, short := range []string{"a", "c", "d", "e", "h", "i", "l", "m", "p", "P", "q", "t", "u", "v", "w"} {
		if f.ShorthandLookup(short) == nil {
			t.Errorf("-%s is unknown", short)
		}
	}
}

// docs/run.md has a line for each flag that the help shows.
func TestEveryFlagIsInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/run.md")
	if err != nil {
		t.Fatal(err)
	}
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	New().Flags(f)
	f.VisitAll(func(flag *pflag.Flag) {
		said := regexp.MustCompile("[`( ]--" + flag.Name + "[^a-z-]").Match(page)
		if flag.Shorthand != "" {
			said = said || regexp.MustCompile("`-"+flag.Shorthand+"[^a-z]").Match(page)
		}
		if !said && !flag.Hidden {
			t.Errorf("docs/run.md says nothing of --%s", flag.Name)
		}
	})
}
