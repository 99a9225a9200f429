package gpu

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestCheckRequirements(t *testing.T) {
	h100 := &Driver{Version: "570.86.15", GPUs: []GPU{{Model: "NVIDIA H100 80GB HBM3"}}}
	geforce := &Driver{Version: "550.54", GPUs: []GPU{{Model: "NVIDIA GeForce RTX 4090"}}}
	next := &Driver{Version: "650.10"}
	for _, c := range []struct {
		d   *Driver
		env string // separated by ;
		err string
	}{
		{h100, "", ""},
		{h100, "NVIDIA_REQUIRE_CUDA=cuda>=12.8", ""},
		{h100, "NVIDIA_REQUIRE_CUDA=", ""},
		{h100, "NVIDIA_REQUIRE_CUDA=cuda>=13.0 driver>=535,driver<536",
			"image needs cuda>=13.0 or driver>=535,driver<536; host driver 570.86.15 supports CUDA 12.8"},
		{h100, "NVIDIA_REQUIRE_CUDA=cuda>=13.0 brand=tesla,driver>=570,driver<571", ""},
		{geforce, "NVIDIA_REQUIRE_CUDA=cuda>=13.0 brand=tesla,driver>=550,driver<551", "image needs cuda>=13.0 or"},
		{geforce, "NVIDIA_REQUIRE_CUDA=cuda>=13.0 brand!=tesla,driver>=550", ""},
		{h100, "NVIDIA_REQUIRE_CUDA=cuda>=99;NVIDIA_DISABLE_REQUIRE=1", ""},
		{h100, "NVIDIA_REQUIRE_CUDA=cuda>=99;NVIDIA_DISABLE_REQUIRE=true", ""},
		{h100, "NVIDIA_REQUIRE_CUDA=cuda>=99;NVIDIA_DISABLE_REQUIRE=0", "image needs cuda>=99; host"},
		{h100, "NVIDIA_REQUIRE_CUDA=cuda>=99;NVIDIA_REQUIRE_CUDA=cuda>=12", ""},
		{h100, "NVIDIA_REQUIRE_CUDA=cuda>=12;NVIDIA_REQUIRE_X=driver>=580", "image needs driver>=580; host"},
		{h100, "NVIDIA_REQUIRE_JETPACK=csv-mounts=all", ""},
		{h100, "CUDA_VERSION=13.1.4", "image needs cuda>=13.1; host"},
		{h100, "CUDA_VERSION=12.4.1", ""},
		{h100, "CUDA_VERSION=99.0;NVIDIA_REQUIRE_CUDA=cuda>=12", ""},
		{h100, "NVIDIA_REQUIRE_CUDA=driver=570.86.15", ""},
		{h100, "NVIDIA_REQUIRE_CUDA=driver<=570.86.9", "image needs driver<=570.86.9; host"},
		{h100, "NVIDIA_REQUIRE_CUDA=arch>=9.9", "image needs arch>=9.9; host"},
		{&Driver{Version: "570.1", GPUs: []GPU{{Model: "NVIDIA X1"}}}, "NVIDIA_REQUIRE_CUDA=arch>=9.9,brand=tesla", ""},
		{h100, "NVIDIA_REQUIRE_CUDA=cuda~12", `invalid condition "cuda~12"`},
		{next, "NVIDIA_REQUIRE_CUDA=cuda>=13.5", ""},
		{&Driver{}, "NVIDIA_REQUIRE_CUDA=cuda>=13.5,driver>=1", ""},
		{&Driver{Version: "340.1"}, "NVIDIA_REQUIRE_CUDA=driver>=384", "image needs driver>=384; host driver 340.1"},
	} {
		var env []string
		if c.env != "" {
			env = strings.Split(c.env, ";")
		}
		err := c.d.CheckRequirements(env)
		switch {
		case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), c.err)):
			t.Errorf("%s on %s: %v, want %q", c.env, c.d.Version, err, c.err)
		case err != nil && strings.Contains(err.Error(), "\n"):
			t.Errorf("more than a line: %s", err)
		}
	}
}

// TestRequirementsOfToolkit holds the check against what NVIDIA's own code says, case by case.
func TestRequirementsOfToolkit(t *testing.T) {
	hosts := map[string]*Driver{
		"h100": {Version: "570.86.15", GPUs: []GPU{{Model: "NVIDIA H100 80GB HBM3"}}}, "rtx4090": {Version: "550.54.14", GPUs: []GPU{{Model: "NVIDIA GeForce RTX 4090"}}},
		"t4": {Version: "535.104.12", GPUs: []GPU{{Model: "Tesla T4"}}}, "b200": {Version: "590.44.01", GPUs: []GPU{{Model: "NVIDIA B200"}}},
	}
	b, err := os.ReadFile("testdata/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	agree, differ := 0, 0
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimRight(line, "\n"), " ", 3)
		if f[0] == "#" {
			continue
		}
		err := hosts[f[1]].CheckRequirements(strings.Split(f[2], ";"))
		got := "met"
		if err != nil {
			got = "error"
			if strings.HasPrefix(err.Error(), "image needs") {
				got = "unmet"
			}
		}
		want, differs := strings.CutPrefix(f[0], "!")
		if (got != want) != differs {
			t.Errorf("%s: %s, %v", line, got, err)
		}
		if differs {
			differ++
		} else {
			agree++
		}
	}
	if differ*50 > agree+differ {
		t.Errorf("gbuild agrees in %d of %d cases", agree, agree+differ)
	}
}

func TestDriverCapabilities(t *testing.T) {
	for _, c := range []struct {
		in   string
		want driverCaps
		err  string
	}{
		{"", capsDefault, ""},
		{"all", capsAll, ""},
		{"compute, utility", capsDefault, ""},
		{"video", capVideo, ""},
		{"bogus", 0, "unsupported capabilities found in 'bogus' (allowed 'compute,utility,video,graphics,display,ngx,compat32')"},
		{"all,x,y", capsAll, ""},
		{"compute,x,y", 0, "unsupported capabilities found in 'x,y' (allowed 'compute,utility,video,graphics,display,ngx,compat32')"},
	} {
		got, err := parseDriverCaps(c.in)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%q: %b, %v", c.in, got, err)
		}
	}
	b, err := os.ReadFile("testdata/capabilities.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		want, env, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if want == "#" {
			continue
		}
		caps, err := capsOf(strings.Split(env, ";"))
		var got []string
		for i, name := range capNames {
			if caps&(1<<i) != 0 {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if text := cmp.Or(strings.Join(got, ","), "-"); (err != nil) != (want == "error") || err == nil && text != want {
			t.Errorf("%s: %s, %v, want %s", env, text, err, want)
		}
	}
	for in, want := range map[string]string{`all,"capabilities=compute,utility"`: "compute,utility", "all": "", "all,capabilities=x": ""} {
		r, err := Parse(in)
		if got := r.DriverCapabilities(); err != nil || got != want {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	for file, want := range map[string]driverCaps{
		"/l/libcuda.so.580.1": capCompute, "/l/libcudadebugger.so.580.1": capCompute, "libnvidia-ml.so.1": capUtility,
		"libnvidia-ptxjitcompiler.so.580": capCompute | capsDraw, "libnvidia-eglcore.so.5": capsDraw, "libGLX_nvidia.so.0": capsDraw,
		"libnvcuvid.so.1": capVideo, "/bin/nvidia-smi": capUtility, "nvidia-cuda-mps-server": capCompute,
		"/run/nvidia-persistenced/socket": capsAll, "10_nvidia.json": capsDraw,
	} {
		if got := fileCaps(file); got != want {
			t.Errorf("%s: %b, want %b", file, got, want)
		}
	}
}

func TestGPUHint(t *testing.T) {
	for env, want := range map[string]bool{
		"": false, "NVIDIA_VISIBLE_DEVICES=all": true, "NVIDIA_VISIBLE_DEVICES=void": false, "NVIDIA_VISIBLE_DEVICES=none": false,
		"NVIDIA_VISIBLE_DEVICES=": false, "CUDA_VERSION=12.4.1": true, "CUDA_VERSION=12;NVIDIA_VISIBLE_DEVICES=void": false, "X=NVIDIA_VISIBLE_DEVICES=all": false,
	} {
		if got := Hint(strings.Split(env, ";")); (got != "") != want {
			t.Errorf("%s: %q", env, got)
		}
	}
}
