package testgpu

import (
	"strings"
	"testing"
)

// The host has what a check looks for, and this machine keeps what it had.
func TestHost(t *testing.T) {
	h := New(t)
	out, err := h.Command(t.Context(), "sh", "-euc", `nvidia-smi -L | wc -l; cat /proc/driver/nvidia/version; test -c /dev/nvidia7; touch /made; ls /bin/sh`).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "8\nNVRM version: NVIDIA UNIX x86_64 Kernel Module  "+Version) {
		t.Errorf("%v: %s", err, out)
	}
}
