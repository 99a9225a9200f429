// This file owns the reading of --gpus, and the choice of devices for it. Its grammar and errors are docker's, since users bring
// their command lines along.

package gpu

import (
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tags.cncf.io/container-device-interface/pkg/parser"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// Request is one --gpus flag: how many GPUs, or which. The zero value asks for none.
type Request struct {
	Driver       string            // the word that was given; "" leaves the choice to gbuild
	Count        int               // -1 means all; 0 with no DeviceIDs means none
	DeviceIDs    []string          // indices, UUIDs, "gpu:mig" indices or CDI names
	Capabilities []string          // the words that were given, and always "gpu"
	Options      map[string]string // kept; no NVIDIA driver reads them
}

// Error is a GPU request or image that this host cannot serve, with what the user can do about it.
type Error struct {
	Problem string
	Remedy  string
}

// Error implements error.
func (e *Error) Error() string { return e.Problem }

// Hint gives the remedy, or "".
func (e *Error) Hint() string { return e.Remedy }

// gpuID is what may follow an unquoted device=0: more indices, MIG indices or UUIDs.
var gpuID = lazyregexp.New(`^([0-9]+(:[0-9]+)?|(GPU|MIG)-.+)$`)

// Parse reads the value of --gpus by Docker's grammar (docker/cli, opts/gpus.go): one CSV record of driver,
// count, device, capabilities and options, in which a bare field is a count. Two things that Docker refuses are
// taken as they are meant: device=0,1 without inner quotes, and ";" between capabilities.
func Parse(value string) (Request, error) {
	r := Request{Capabilities: []string{"gpu"}}
	fields, err := csv.NewReader(strings.NewReader(value)).Read()
	if err != nil {
		return Request{}, &Error{fmt.Sprintf("reading %q as a GPU request: %v", value, err), gpusRemedy}
	}
	seen := map[string]bool{}
	for i, f := range fields {
		key, val, ok := strings.Cut(f, "=")
		if !ok && gpuID().MatchString(f) && i > 0 && continuesDevice(fields[:i]) {
			r.DeviceIDs = append(r.DeviceIDs, f)
			continue
		}
		if seen[key] {
			return Request{}, fmt.Errorf("gpu request key '%s' can be specified only once", key)
		}
		seen[key] = true
		if !ok {
			key, val = "count", f
			seen[key] = true
		}
		if err := r.set(key, val, f); err != nil {
			return Request{}, err
		}
	}
	return r, r.finish(seen["count"])
}

// gpusRemedy shows the grammar by examples.
const gpusRemedy = `examples: --gpus all, --gpus 2, --gpus device=0,1, --gpus '"device=GPU-…","capabilities=compute,utility"'`

// continuesDevice says whether the fields that end here are a device= with only further ids after it.
func continuesDevice(fields []string) bool {
	for _, f := range slices.Backward(fields) {
		if strings.HasPrefix(f, "device=") {
			return true
		}
		if !gpuID().MatchString(f) {
			return false
		}
	}
	return false
}

// set takes one field of the request.
func (r *Request) set(key, val, field string) (err error) {
	switch key {
	case "driver":
		r.Driver = val
	case "count":
		r.Count, err = parseGPUCount(val)
	case "device":
		r.DeviceIDs = strings.Split(val, ",")
	case "capabilities":
		r.Capabilities = append(strings.FieldsFunc(val, func(c rune) bool { return c == ',' || c == ';' }), "gpu")
	case "options":
		r.Options, err = parseGPUOptions(val)
	default:
		err = &Error{fmt.Sprintf("unexpected key '%s' in '%s'", key, field), gpusRemedy}
	}
	return err
}

// finish refuses what contradicts itself, and fills in what is left out.
func (r *Request) finish(counted bool) error {
	if slices.Contains(r.DeviceIDs, "") {
		return &Error{"device= names no GPU", gpusRemedy}
	}
	if r.Count != 0 && r.DeviceIDs != nil {
		return &Error{"cannot set both Count and DeviceIDs on device request", gpusRemedy}
	}
	if !counted && r.DeviceIDs == nil {
		r.Count = 1
	}
	// Docker's daemon takes every negative count for all.
	r.Count = max(r.Count, -1)
	return nil
}

// parseGPUCount reads a count; -1 is all. Its errors are docker's.
func parseGPUCount(s string) (int, error) {
	if s == "all" {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err == nil {
		return n, nil
	}
	if num, ok := errors.AsType[*strconv.NumError](err); ok {
		err = num.Err
	}
	return 0, fmt.Errorf(`invalid count (%s): value must be either "all" or an integer: %w`, s, err)
}

// parseGPUOptions reads options=, a CSV record in a field of one.
func parseGPUOptions(val string) (map[string]string, error) {
	fields, err := csv.NewReader(strings.NewReader(val)).Read()
	if err != nil {
		return nil, fmt.Errorf("failed to read gpu options: %w", err)
	}
	m := make(map[string]string, len(fields))
	for _, f := range fields {
		k, v, _ := strings.Cut(f, "=")
		m[k] = v
	}
	return m, nil
}

// gpuVendors is the order in which a vendor is chosen for a request that names none.
var gpuVendors = []string{"nvidia.com/gpu", "amd.com/gpu"}

// None says that the request asks for no GPU, as --gpus 0 does.
func (r Request) None() bool { return r.Count == 0 && len(r.DeviceIDs) == 0 }

// Names turns the request into CDI device names, given the qualified names that this host knows. A count takes the
// first devices by index, as Docker does: nobody is asked which GPU is idle.
func (r Request) Names(known []string) ([]string, error) {
	if r.None() {
		return nil, nil
	}
	kind, own := gpuKind(known)
	if kind == "" && !slices.ContainsFunc(r.DeviceIDs, parser.IsQualifiedName) {
		return nil, &Error{"no GPU is known on this host",
			"`gbuild gpu list` shows what was looked at; without a GPU, leave --gpus out"}
	}
	all := kind + "=all"
	whole := len(own) == 0 && (r.Count > 0 || slices.ContainsFunc(r.DeviceIDs, isIndex)) // no single one has a name
	if slices.Contains(known, all) && (r.Count < 0 || whole) {
		return []string{all}, nil
	}
	if len(r.DeviceIDs) > 0 {
		return r.byID(kind, known)
	}
	if r.Count < 0 {
		return qualify(kind, own), nil
	}
	if r.Count > len(own) {
		return nil, &Error{fmt.Sprintf("%d GPUs were asked for, but this host has %d", r.Count, len(own)),
			"use --gpus all for what there is; `gbuild gpu list` shows it"}
	}
	return qualify(kind, own[:r.Count]), nil
}

// byID finds the devices that are named one by one.
func (r Request) byID(kind string, known []string) ([]string, error) {
	var names []string
	for _, id := range r.DeviceIDs {
		name := id
		if !strings.Contains(id, "=") {
			name = kind + "=" + id
		}
		if name != noGPU && !slices.Contains(known, name) {
			if first := name + ":0"; slices.Contains(known, first) {
				return nil, &Error{"GPU " + id + " is divided, so it cannot be used as a whole", "name its instances, such as device=" + id + ":0; `gbuild gpu list` shows them"}
			}
			return nil, unknownDevices([]string{name}, known)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// gpuKind gives the first GPU kind that this host has, and its single GPUs in the order of their indices.
func gpuKind(known []string) (kind string, own []string) {
	for _, kind := range gpuVendors {
		var indexed, other []string
		found := false
		for _, k := range known {
			name, ok := strings.CutPrefix(k, kind+"=")
			found = found || ok
			switch {
			case !ok || name == "all":
			case isIndex(strings.Replace(name, ":", "", 1)): // of an instance of a divided GPU: 0:1
				indexed = append(indexed, name)
			default:
				other = append(other, name)
			}
		}
		if !found {
			continue
		}
		if len(indexed) == 0 { // A host lists UUIDs beside indices, so they only count where they are alone.
			indexed = other
		}
		slices.SortFunc(indexed, compareNatural)
		return kind, indexed
	}
	return "", nil
}

// isIndex says whether a name of a device is the number of a GPU.
func isIndex(s string) bool {
	_, err := strconv.ParseUint(s, 10, 31)
	return err == nil
}

// compareNatural orders "2" before "10" and "0:2" before "0:10".
func compareNatural(a, b string) int {
	as, bs := strings.Split(a, ":"), strings.Split(b, ":")
	return slices.CompareFunc(as, bs, func(x, y string) int {
		if isIndex(x) && isIndex(y) && len(x) != len(y) {
			return len(x) - len(y)
		}
		return strings.Compare(x, y)
	})
}

// qualify makes CDI names.
func qualify(kind string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = kind + "=" + n
	}
	return out
}

// unknownDevices says what there is instead.
func unknownDevices(names, known []string) error {
	remedy := "this host knows no CDI device; `gbuild gpu list` shows what was looked at"
	if len(known) > 0 {
		remedy = "known here: " + strings.Join(known, ", ")
	}
	// Users know this text from podman and containerd.
	return &Error{"unresolvable CDI devices " + strings.Join(names, ", "), remedy}
}

// IsCDIName says whether a --device value is a CDI name (vendor/class=name) and not a path.
func IsCDIName(s string) bool { return parser.IsQualifiedName(s) }
