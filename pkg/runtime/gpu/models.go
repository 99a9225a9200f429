// This file owns what the name of a GPU's model tells of it: NVML knows more, but a static program cannot load that.

package gpu

import (
	"regexp"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// dataCentre are models that NVML calls Tesla, or NVIDIA where the driver is newer.
var dataCentre = lazyregexp.New(`^(NVIDIA )?(Tesla|[ABHKLMPTV][0-9]{1,3}[A-Z]?\b|GB?[0-9]{3}\b|GH[0-9]{3}\b)`)

// brands gives the words by which NVML may call the brand of the first GPU; none where its model does not show it.
func (d *Driver) brands() []string {
	if len(d.GPUs) == 0 {
		return nil
	}
	model := d.GPUs[0].Model
	for _, b := range []string{"GeForce", "TITAN", "Quadro"} {
		if strings.Contains(model, b) {
			return []string{strings.ToLower(b)}
		}
	}
	if dataCentre().MatchString(model) {
		return []string{"tesla", "nvidia"}
	}
	return nil
}

// brandHolds says whether a comparison with the brand comes out for one of the words that it may have. Words are compared as text.
func (d *Driver) brandHolds(op, want string) bool {
	may := d.brands()
	return len(may) == 0 || slices.ContainsFunc(may, func(b string) bool { return holds(strings.Compare(b, want), op) })
}

// architectures are the compute capabilities of models, by words in their names. The first match counts.
var architectures = []struct {
	model func() *regexp.Regexp
	arch  string
}{
	{lazyregexp.New(`\bG?B300\b`), "10.3"},
	{lazyregexp.New(`\bG?B[12]00\b`), "10.0"},
	{lazyregexp.New(`\bRTX 50[0-9]{2}\b|RTX PRO .*Blackwell`), "12.0"},
	{lazyregexp.New(`\b(G?H[128]00|H20)\b`), "9.0"},
	{lazyregexp.New(`\bL(4|20|40S?|40G)\b|\bRTX 40[0-9]{2}\b|\bRTX [0-9]000 (SFF )?Ada\b`), "8.9"},
	{lazyregexp.New(`\bA(30|[18]00)X?\b`), "8.0"},
	{lazyregexp.New(`\bA(2|10|10G|16|40)\b|\bRTX 30[0-9]{2}\b|\bRTX A[0-9]{3,4}\b`), "8.6"},
	{lazyregexp.New(`\bT4G?\b|\bRTX 20[0-9]{2}\b|\bQuadro RTX\b|\bGTX 16[0-9]{2}\b`), "7.5"},
	{lazyregexp.New(`\bV100`), "7.0"},
	{lazyregexp.New(`\bP100`), "6.0"},
	{lazyregexp.New(`\bP(4|40)\b|\bGTX 10[0-9]{2}\b`), "6.1"},
}

// arch gives the compute capability of the first GPU, or "" for a model that is not known.
func (d *Driver) arch() string {
	if len(d.GPUs) == 0 {
		return ""
	}
	for _, a := range architectures {
		if a.model().MatchString(d.GPUs[0].Model) {
			return a.arch
		}
	}
	return ""
}
