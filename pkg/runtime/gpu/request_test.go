package gpu

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseGPUs(t *testing.T) {
	gpu := []string{"gpu"}
	for _, c := range []struct {
		in   string
		want Request
		err  string
	}{
		{in: "all", want: Request{Count: -1, Capabilities: gpu}},
		{in: "-1", want: Request{Count: -1, Capabilities: gpu}},
		{in: "-7", want: Request{Count: -1, Capabilities: gpu}},
		{in: "count=all", want: Request{Count: -1, Capabilities: gpu}},
		{in: "count=-1", want: Request{Count: -1, Capabilities: gpu}},
		{in: "2", want: Request{Count: 2, Capabilities: gpu}},
		{in: "count=2", want: Request{Count: 2, Capabilities: gpu}},
		{in: "0", want: Request{Capabilities: gpu}},
		{in: "all,2", want: Request{Count: 2, Capabilities: gpu}},
		{in: "count=2,all", want: Request{Count: -1, Capabilities: gpu}},
		{in: `"device=0,1"`, want: Request{DeviceIDs: []string{"0", "1"}, Capabilities: gpu}},
		{in: "device=0", want: Request{DeviceIDs: []string{"0"}, Capabilities: gpu}},
		{in: "device=0,1", want: Request{DeviceIDs: []string{"0", "1"}, Capabilities: gpu}},
		{in: "device=0,1:0,GPU-abc,MIG-d", want: Request{DeviceIDs: []string{"0", "1:0", "GPU-abc", "MIG-d"}, Capabilities: gpu}},
		{in: "device=0,1,capabilities=utility", want: Request{DeviceIDs: []string{"0", "1"}, Capabilities: []string{"utility", "gpu"}}},
		{in: "device=GPU-fef8089b", want: Request{DeviceIDs: []string{"GPU-fef8089b"}, Capabilities: gpu}},
		{in: "device=0:1", want: Request{DeviceIDs: []string{"0:1"}, Capabilities: gpu}},
		{in: `all,"capabilities=compute,utility"`, want: Request{Count: -1, Capabilities: []string{"compute", "utility", "gpu"}}},
		{in: `all,capabilities=compute;utility`, want: Request{Count: -1, Capabilities: []string{"compute", "utility", "gpu"}}},
		{in: "driver=nvidia", want: Request{Driver: "nvidia", Count: 1, Capabilities: gpu}},
		{in: "capabilities=utility", want: Request{Count: 1, Capabilities: []string{"utility", "gpu"}}},
		{in: `all,"options=a=b,c"`, want: Request{Count: -1, Capabilities: gpu, Options: map[string]string{"a": "b", "c": ""}}},
		{in: "all,all", err: "gpu request key 'all' can be specified only once"},
		{in: "all,count=2", err: "gpu request key 'count' can be specified only once"},
		{in: "device=0,device=1", err: "gpu request key 'device' can be specified only once"},
		{in: "count=x", err: `invalid count (x): value must be either "all" or an integer: invalid syntax`},
		{in: "nonsense", err: `invalid count (nonsense): value must be either "all" or an integer: invalid syntax`},
		{in: "99999999999999999999", err: `invalid count (99999999999999999999): value must be either "all" or an integer: value out of range`},
		{in: "foo=1", err: "unexpected key 'foo' in 'foo=1'"},
		{in: "1,device=0", err: "cannot set both Count and DeviceIDs on device request"},
		{in: "device=0,all", err: "cannot set both Count and DeviceIDs on device request"},
		{in: "device=", err: "device= names no GPU"},
		{in: `"device=0,,1"`, err: "device= names no GPU"},
		{in: "", err: `reading "" as a GPU request: EOF`},
		{in: `"all`, err: `reading "\"all" as a GPU request: parse error on line 1, column 5: extraneous or missing " in quoted-field`},
	} {
		got, err := Parse(c.in)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%q: error %v, want %s", c.in, err, c.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, %v; want %+v", c.in, got, err, c.want)
		}
	}
}

func TestGPURequestNames(t *testing.T) {
	one := []string{"nvidia.com/gpu=0", "nvidia.com/gpu=GPU-a", "nvidia.com/gpu=all"}
	many := []string{"example.com/x=1", "nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=10", "nvidia.com/gpu=2"}
	mig := []string{"nvidia.com/gpu=0:0", "nvidia.com/gpu=0:1", "nvidia.com/gpu=MIG-a", "nvidia.com/gpu=MIG-b", "nvidia.com/gpu=all"}
	for _, c := range []struct {
		in    string
		known []string
		want  string
		err   string
	}{
		{"all", one, "nvidia.com/gpu=all", ""},
		{"all", many, "nvidia.com/gpu=0 nvidia.com/gpu=1 nvidia.com/gpu=2 nvidia.com/gpu=10", ""},
		{"3", many, "nvidia.com/gpu=0 nvidia.com/gpu=1 nvidia.com/gpu=2", ""},
		{"2", one, "", "2 GPUs were asked for, but this host has 1"},
		{"2", mig, "nvidia.com/gpu=0:0 nvidia.com/gpu=0:1", ""},
		{"3", mig, "", "3 GPUs were asked for, but this host has 2"},
		{"1", []string{"nvidia.com/gpu=GPU-z"}, "nvidia.com/gpu=GPU-z", ""},
		{"0", nil, "", ""},
		{"all", []string{"amd.com/gpu=0"}, "amd.com/gpu=0", ""},
		{"device=0,GPU-a,0", one, "nvidia.com/gpu=0 nvidia.com/gpu=GPU-a", ""},
		{"device=GPU-wrong", one, "", "unresolvable CDI devices nvidia.com/gpu=GPU-wrong"},
		{"device=example.com/x=1", many, "example.com/x=1", ""},
		{"device=example.com/x=1", many[:1], "example.com/x=1", ""},
		{"all", nil, "", "no GPU is known on this host"},
	} {
		r, err := Parse(c.in)
		if err != nil {
			t.Fatal(c.in, err)
		}
		got, err := r.Names(c.known)
		if c.err != "" {
			var h interface{ Hint() string }
			if err == nil || err.Error() != c.err || !errors.As(err, &h) || h.Hint() == "" {
				t.Errorf("%q: error %v, want %s with a hint", c.in, err, c.err)
			}
			continue
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q: %v, %v; want %s", c.in, got, err, c.want)
		}
	}
}
