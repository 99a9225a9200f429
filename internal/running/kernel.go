// This file owns what a container has of the host's kernel and of its names: processes and host name that are shared, settings of
// namespaces, and where names are looked up.

package running

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// Kernel is the part about it.
type Kernel struct {
	PID, UTS, Domainname, OOMScoreAdj string
	Sysctls                           []string
	DNS, DNSSearch, DNSOptions        []string

	sysctls map[string]string // Sysctls, parsed
}

// Flags registers the flags, which are docker's.
func (k *Kernel) Flags(f *pflag.FlagSet) {
	f.StringVar(&k.PID, "pid", "", "private, or host: the processes of the host are seen, as far as they are yours")
	f.StringVar(&k.UTS, "uts", "", "private, or host: the host name is that of the host")
	f.StringVar(&k.Domainname, "domainname", "", "domain name of the container")
	f.StringVar(&k.OOMScoreAdj, "oom-score-adj", "", "how soon the kernel ends the command when memory runs out: -1000 to 1000")
	f.Var((*cli.List)(&k.Sysctls), "sysctl", "NAME=VALUE of a namespace of the container, such as net.core.somaxconn=1024 (repeatable)")
	f.Var((*cli.List)(&k.DNS), "dns", "address of a name server (repeatable)")
	f.Var((*cli.List)(&k.DNSSearch), "dns-search", "domain in which names are looked up; . is none (repeatable)")
	f.Var((*cli.List)(&k.DNSOptions), "dns-option", "option of /etc/resolv.conf, such as ndots:1 (repeatable)")
	f.Var((*cli.List)(&k.DNSOptions), "dns-opt", "the same as --dns-option")
	_ = f.MarkHidden("dns-opt")
}

// parse refuses what cannot be had.
func (k *Kernel) parse() error {
	for _, shared := range []struct{ flag, value string }{{"--pid", k.PID}, {"--uts", k.UTS}} {
		if name, isContainer := strings.CutPrefix(shared.value, "container:"); isContainer {
			return cli.Usage(hint.Errorf("gbuild exec runs a further command in a container: gbuild exec "+name+" COMMAND", "%s %s: a container shares no namespaces with another one", shared.flag, shared.value))
		}
		if err := cli.OneOf(shared.flag, shared.value, "", "private", "host"); err != nil {
			return err
		}
	}
	if n, err := strconv.Atoi(cmp.Or(k.OOMScoreAdj, "0")); err != nil || n < -1000 || n > 1000 {
		return cli.Usagef("--oom-score-adj %s: it is a number from -1000 to 1000", k.OOMScoreAdj)
	}
	k.sysctls = map[string]string{}
	for _, text := range k.Sysctls {
		name, value, given := strings.Cut(text, "=")
		if !given || name == "" {
			return cli.Usagef("--sysctl %s: it is NAME=VALUE", text)
		}
		k.sysctls[strings.ReplaceAll(name, "/", ".")] = value
	}
	return (&runtime.Resolver{Servers: k.DNS}).Check()
}

// fill puts it into the sandbox.
func (k *Kernel) fill(box *runtime.Sandbox) error {
	box.HostPID, box.HostUTS, box.Domainname, box.Sysctls = k.PID == "host", k.UTS == "host", k.Domainname, k.sysctls
	box.Resolver = runtime.Resolver{Servers: k.DNS, Search: k.DNSSearch, Options: k.DNSOptions}
	if name, err := os.Hostname(); box.HostUTS && err == nil {
		box.Hostname = name
	}
	return k.fillOOM(box)
}

// fillOOM raises the score; to lower it takes a right of the host.
func (k *Kernel) fillOOM(box *runtime.Sandbox) error {
	if k.OOMScoreAdj == "" {
		return nil
	}
	score, err := strconv.Atoi(k.OOMScoreAdj)
	if err != nil {
		return err
	}
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return err
	}
	own, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	if score < own {
		box.Notice(fmt.Sprintf("--oom-score-adj %d has no effect: only root of the host may go below the %d of your shell", score, own))
		return nil
	}
	box.OOMScoreAdj = &score
	return nil
}
