// This file owns the flags of docker build that gbuild takes for the sake of scripts, and that have no effect, or are
// refused for what they ask. None of them is in the help.

package building

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
)

// Docker are those of them that are read at all.
type Docker struct {
	// What these four ask for is missing here, so they are refused, unless their values ask for nothing.
	Attest                         []string
	SBOM, Provenance, CgroupParent string

	without []string // the flags that were given and have no effect
}

// Flags hides every flag. Some take no value, as with docker.
func (f *Docker) Flags(flags *pflag.FlagSet) {
	flags.Var((*cli.List)(&f.Attest), "attest", "")
	flags.StringVar(&f.SBOM, "sbom", "", "")
	flags.StringVar(&f.Provenance, "provenance", "", "")
	flags.StringVar(&f.CgroupParent, "cgroup-parent", "", "")
	flags.Lookup("sbom").NoOptDefVal, flags.Lookup("provenance").NoOptDefVal = "true", "true"
	for _, name := range []string{"attest", "sbom", "provenance", "cgroup-parent"} {
		flags.Lookup(name).Hidden = true
	}
	short := map[string]string{"memory": "m", "cpu-shares": "c"}
	for _, name := range []string{"builder", "memory", "memory-swap", "cpu-shares", "cpu-period", "cpu-quota", "cpuset-cpus", "cpuset-mems", "resource", "security-opt"} {
		flags.VarPF(ineffective{name, "string", &f.without}, name, short[name], "").Hidden = true
	}
	for _, name := range []string{"compress", "rm", "force-rm", "squash", "disable-content-trust"} {
		flag := flags.VarPF(ineffective{name, "bool", &f.without}, name, "", "")
		flag.Hidden, flag.NoOptDefVal = true, "true"
	}
}

// ineffective is the value of a flag that is taken and does nothing; that is said once.
type ineffective struct {
	name, kind string
	given      *[]string
}

// Set implements pflag.Value.
func (i ineffective) Set(value string) error {
	if i.kind == "bool" {
		on, err := strconv.ParseBool(value)
		if err != nil || !on {
			return err
		}
	}
	if !slices.Contains(*i.given, "--"+i.name) {
		*i.given = append(*i.given, "--"+i.name)
	}
	return nil
}

// String implements pflag.Value.
func (i ineffective) String() string { return "" }

// Type implements pflag.Value.
func (i ineffective) Type() string { return i.kind }

// notices are what the user should know about flags that were accepted.
func (f *Docker) notices() (all []string) {
	if len(f.without) > 0 {
		all = append(all, strings.Join(f.without, ", ")+": accepted for docker build's sake, without effect")
	}
	if slices.ContainsFunc(append(slices.Clone(f.Attest), f.Provenance), func(s string) bool { return strings.Contains(s, "mode=") }) {
		all = append(all, "no provenance is written: attestations are not supported yet")
	}
	return all
}

// refuse says no to what would be silently missing otherwise.
func (f *Docker) refuse() error {
	if f.CgroupParent != "" {
		return cli.Usage(hint.Errorf("start gbuild itself in that cgroup, for instance with systemd-run --scope --slice=NAME",
			"--cgroup-parent: gbuild puts no RUN into a cgroup of its own"))
	}
	wanted := map[string]string{"--sbom": f.SBOM, "--provenance": f.Provenance}
	for _, s := range f.Attest {
		fields, err := cli.Fields(s)
		if err != nil || fields["type"] != "sbom" && fields["type"] != "provenance" {
			return cli.Usagef("--attest %s: it is type=sbom or type=provenance, with options", s)
		}
		if !cli.Truthy(fields["disabled"]) {
			wanted["--attest "+s] = s
		}
	}
	for flag, value := range wanted {
		if cli.Truthy(value) && (!strings.Contains(value, "mode=") || strings.Contains(flag, "sbom")) {
			return cli.Usage(hint.Errorf("leave it out, or give --provenance=false --sbom=false", "%s: attestations are not supported yet", flag))
		}
	}
	return nil
}
