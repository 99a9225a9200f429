// This file owns NVIDIA_REQUIRE_*: what an image demands of the driver. NVIDIA's runtime refuses to start an image whose demands are
// not met; so does gbuild where it knows that, with the reason and the way around.

package gpu

import (
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
	{575, "12.9"}, {580, "13.0"},
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
// alternatives are separated by spaces and their conditions by commas. What is not known of a driver (the brand of an
// unknown model, the architecture) counts as met: only a known contradiction refuses. NVIDIA_DISABLE_REQUIRE skips all.
func (d *Driver) CheckRequirements(env []string) error {
	if v, ok := lastEnv(env, "NVIDIA_DISABLE_REQUIRE"); ok {
		if off, err := strconv.ParseBool(v); err == nil && off {
			return nil
		}
	}
	for _, expr := range requirements(env) {
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
func requirements(env []string) []string {
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
	if _, ok := last["NVIDIA_REQUIRE_CUDA"]; ok {
		return out
	}
	v, _ := lastEnv(env, "CUDA_VERSION")
	if m := cudaVersion().FindString(v); m != "" {
		out = append(out, "cuda>="+m)
	}
	return out
}

// cudaVersion is what counts of a CUDA_VERSION; condition is one part of a requirement.
var (
	cudaVersion = lazyregexp.New(`^[0-9]+\.[0-9]+`)
	condition   = lazyregexp.New(`^([a-z]+)(>=|<=|!=|=|<|>)([A-Za-z0-9._-]+)$`)
)

// meets reports whether one of the alternatives of an expression holds.
func (d *Driver) meets(expr string) (bool, error) {
	held := false
	for alternative := range strings.FieldsSeq(expr) {
		all := true
		for c := range strings.SplitSeq(alternative, ",") {
			m := condition().FindStringSubmatch(c)
			if m == nil {
				return false, &Error{fmt.Sprintf("invalid condition %q in the image's requirement %q", c, expr),
					"set NVIDIA_DISABLE_REQUIRE=1 to run it without the check"}
			}
			all = d.condition(m[1], m[2], m[3]) && all
		}
		held = held || all
	}
	return held, nil
}

// condition holds one condition against the driver. A property that is not known here holds.
func (d *Driver) condition(property, op, want string) bool {
	switch property {
	case "driver":
		return d.Version == "" || holds(rootedit.CompareVersions(d.Version, want), op)
	case "cuda":
		have, exact := cudaFor(d.Version)
		if have == "" {
			return true
		}
		// The table gives a lower bound for a newer branch, which can only prove ">" and ">=".
		return holds(rootedit.CompareVersions(have, want), op) || !exact
	case "brand":
		have := d.brand()
		return have == "" || (have == want) != (op == "!=")
	}
	return true
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

// dataCentre are models that NVML calls Tesla.
var dataCentre = lazyregexp.New(`^(NVIDIA )?(Tesla|[ABHKLMPTV][0-9]{1,3}[A-Z]?\b|GB?[0-9]{3}\b|GH[0-9]{3}\b)`)

// brand gives NVML's brand word for the first GPU where the model's name shows it, else "".
func (d *Driver) brand() string {
	if len(d.GPUs) == 0 {
		return ""
	}
	model := d.GPUs[0].Model
	for _, b := range []string{"GeForce", "TITAN", "Quadro"} {
		if strings.Contains(model, b) {
			return strings.ToLower(b)
		}
	}
	if dataCentre().MatchString(model) {
		return "tesla"
	}
	return ""
}
