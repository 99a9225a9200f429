// This file owns what is said of the machine that was measured on.

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// machineFacts say on what was measured, without the machine's name or paths.
func machineFacts(dir, gbuild string) []fact {
	var info syscall.Sysinfo_t
	_ = syscall.Sysinfo(&info)
	memory := float64(info.Totalram) * float64(info.Unit) / (1 << 30)
	return []fact{
		{"processor", fmt.Sprintf("%d × %s", runtime.NumCPU(), field("/proc/cpuinfo", "model name"))},
		{"memory", fmt.Sprintf("%.0f GiB", memory)},
		{"kernel", firstLine(output("uname", "-sr"))},
		{"system", strings.Trim(field("/etc/os-release", "PRETTY_NAME"), `"`)},
		{"file system", firstLine(output("findmnt", "-n", "-o", "FSTYPE", "-T", dir))},
		{"gbuild's binary", fmt.Sprintf("%.1f MB", float64(binarySize(gbuild))/1e6)},
	}
}

// field is the value after NAME and a colon or an equals sign.
func field(file, name string) string {
	data, _ := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, "\t :="))
		}
	}
	return "unknown"
}

func output(name string, args ...string) []byte {
	out, _ := exec.Command(name, args...).Output()
	return out
}

func firstLine(out []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

func binarySize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
