// This file owns NVIDIA_REQUIRE_*: what an image demands of the driver. NVIDIA's runtime refuses to start an image whose demands are
// not met; so does gbuild where it knows that, with the reason and the way around.

package gpu

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/runtime/rootedit"
)

// cudaOfDriver is the newest CUDA release that each driver branch supports (NVIDIA's CUDA toolkit release notes,
// table "CUDA Toolkit and Corresponding Driver Versions").
var cudaOfDriver = []struct {
	major int
	cuda  string
}{
	{384, "9.0"}, {390, "9.1"}, {396, "9.2"}, {410, "10.0"}, {418, "10.1"}, {440, "10.2"}, {450, "11.0"}, {455, "11.1"},
	{460, "11.2"}, {465, "11.3"}, {470, "11.4"}, {495, "11.5"}, {510, "11.6"}, {515, "11.7"}, {520, "11.8"}, {525, "12.0"},
	{530, "12.1"}, {535, "12.2"}, {545, "12.3"}, {550, "12.4"}, {555, "12.5"}, {560, "12.6"}, {565, "12.7"}, {570, "12.8"},
	{575, "12.9"}, {580, "13.0"}, {590, "13.1"}, {595, "13.2"}, {610, "13.3"},
}

// cudaFor gives the CUDA release of a driver, and whether it is exact: of a branch newer than the table only the least
// is known.
func cudaFor(driver string) (cuda string, exact bool) {
	major, err := strconv.Atoi(strings.SplitN(driver, ".", 2)[0])
	if err != nil {
		return "", false
	}
	for _, d := range slices.Backward(cudaOfDriver) {
		if major >= d.major {
			return d.cuda, major < cudaOfDriver[len(cudaOfDriver)-1].major+10
		}
	}
	return "", false
}

// CheckRequirements holds the image's NVIDIA_REQUIRE_* variables against the driver. Every variable must hold; in one,
// alternatives are separated by spaces and their conditions by commas. What is not known of a driver (the brand and the architecture of an
// unknown model) counts as met: only a known contradiction refuses. NVIDIA_DISABLE_REQUIRE skips all.
func (d *Driver) CheckRequirements(env []string) error {
	if v, ok := lastEnv(env, "NVIDIA_DISABLE_REQUIRE"); ok {
		if off, err := strconv.ParseBool(v); err == nil && off {
			return nil
		}
	}
	all, err := requirements(env)
	if err != nil {
		return err
	}
	for _, expr := range all {
		ok, err := d.meets(expr)
		if err != nil {
			return err
		}
		if !ok {
			return d.unmet(expr)
		}
	}
	return nil
}

// unmet says what the image wants, and what the driver has.
func (d *Driver) unmet(expr string) error {
	has := "host driver " + d.Version
	if cuda, _ := cudaFor(d.Version); cuda != "" {
		has += " supports CUDA " + cuda
	}
	return &Error{
		fmt.Sprintf("image needs %s; %s", strings.Join(strings.Fields(expr), " or "), has),
		"update the driver, use an older image, or set NVIDIA_DISABLE_REQUIRE=1 to try"}
}

// requirements lists the expressions of env. An image from before NVIDIA_REQUIRE_CUDA says its CUDA_VERSION instead.
func requirements(env []string) ([]string, error) {
	last := map[string]string{}
	var keys []string
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(k, "NVIDIA_REQUIRE_") || strings.HasPrefix(k, "NVIDIA_REQUIRE_JETPACK") {
			continue
		}
		if _, ok := last[k]; !ok {
			keys = append(keys, k)
		}
		last[k] = v
	}
	var out []string
	for _, k := range keys {
		if strings.TrimSpace(last[k]) != "" {
			out = append(out, last[k])
		}
	}
	v, _ := lastEnv(env, "CUDA_VERSION")
	if v == "" || last["NVIDIA_REQUIRE_CUDA"] != "" {
		return out, nil
	}
	m := cudaVersion().FindStringSubmatch(v)
	if m == nil {
		return nil, &Error{fmt.Sprintf("the image's CUDA_VERSION %q is no version", v), requireRemedy}
	}
	return append(out, "cuda>="+m[1]), nil
}

// requireRemedy is the way around requirements that cannot be read.
const requireRemedy = "set NVIDIA_DISABLE_REQUIRE=1 to run it without the check"

// cudaVersion is what counts of a CUDA_VERSION; requiredVersion is what a version is compared with.
var (
	cudaVersion     = lazyregexp.New(`^v?([0-9]{1,9}(\.[0-9]{1,9})?)(\.[0-9]{1,9})?$`)
	requiredVersion = lazyregexp.New(`^v?([0-9]+(\.[0-9]+)?(\.[0-9]+)?)$|^v?([0-9]+\.[0-9]+\.[0-9]+)-[0-9A-Za-z.-]+$`)
)

// operators of conditions: of two that begin alike the longer one comes first.
var operators = []string{"!=", "<=", ">=", "=", "<", ">"}

// meets reports whether one of the alternatives of an expression holds. A condition about something that nobody knows does not count.
func (d *Driver) meets(expr string) (bool, error) {
	held, counted := false, false
	for alternative := range strings.FieldsSeq(expr) {
		all, some := true, false
		for c := range strings.SplitSeq(alternative, ",") {
			if c == "" {
				continue
			}
			at := strings.IndexAny(c, "<>=!")
			if at < 0 {
				return false, invalidCondition(c, expr)
			}
			if !slices.Contains([]string{"arch", "brand", "cuda", "driver"}, c[:at]) {
				continue
			}
			holds, ok := d.condition(c[:at], c[at:])
			if !ok {
				return false, invalidCondition(c, expr)
			}
			all, some = all && holds, true
		}
		held, counted = held || all && some, counted || some
	}
	return held || !counted, nil
}

func invalidCondition(c, expr string) error {
	return &Error{fmt.Sprintf("invalid condition %q in the image's requirement %q", c, expr), requireRemedy}
}

// condition holds one condition against the driver; ok is false where it cannot be read. A property that is not known of this host holds.
func (d *Driver) condition(property, comparison string) (met, ok bool) {
	i := slices.IndexFunc(operators, func(o string) bool { return strings.HasPrefix(comparison, o) })
	if i < 0 {
		return false, false
	}
	op, want := operators[i], strings.TrimPrefix(comparison, operators[i])
	if property == "brand" {
		return d.brandHolds(op, want), true
	}
	m := requiredVersion().FindStringSubmatch(want)
	if m == nil {
		return false, false
	}
	have, exact := d.Version, true
	switch property {
	case "cuda":
		have, exact = cudaFor(d.Version)
	case "arch":
		have = d.arch()
	}
	// The table gives a lower bound for a newer branch, which can only prove ">" and ">=".
	return have == "" || !exact || holds(rootedit.CompareVersions(have, cmp.Or(m[1], m[4])), op), true
}

// holds says whether a comparison came out as an operator wants.
func holds(cmp int, op string) bool {
	switch op {
	case "=":
		return cmp == 0
	case "!=":
		return cmp != 0
	case "<":
		return cmp < 0
	case "<=":
		return cmp <= 0
	case ">":
		return cmp > 0
	}
	return cmp >= 0
}
