package gpu

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	specs "tags.cncf.io/container-device-interface/specs-go"
)

// fakeRoot is the file system of a host with an NVIDIA driver, made of files and of whiteout nodes (0:0), the only
// device nodes that a user namespace may make.
type fakeRoot struct {
	t   testing.TB
	dir string
}

func newFakeRoot(t testing.TB) *fakeRoot {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &fakeRoot{t, dir}
}

func (r *fakeRoot) file(p, text string) *fakeRoot {
	r.t.Helper()
	writeFile(r.t, filepath.Join(r.dir, p), text, 0o644)
	return r
}

func writeFile(t testing.TB, p, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p, mode); err != nil {
		t.Fatal(err)
	}
}

func (r *fakeRoot) script(p, text string) *fakeRoot {
	r.t.Helper()
	writeFile(r.t, filepath.Join(r.dir, p), text, 0o755)
	return r
}

func (r *fakeRoot) nodes(paths ...string) *fakeRoot {
	r.t.Helper()
	for _, p := range paths {
		f := filepath.Join(r.dir, p)
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := unix.Mknod(f, unix.S_IFCHR|0o666, 0); err != nil {
			r.t.Skipf("cannot make a device node of 0:0 here: %v", err)
		}
		if err := os.Chmod(f, 0o666); err != nil { // whatever the umask is
			r.t.Fatal(err)
		}
	}
	return r
}

func (r *fakeRoot) link(target, p string) *fakeRoot {
	r.t.Helper()
	f := filepath.Join(r.dir, p)
	if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Symlink(target, f); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// gpu adds a GPU as /proc, /sys and /dev show it.
func (r *fakeRoot) gpu(bus string, minor int, uuid, model string) *fakeRoot {
	r.t.Helper()
	return r.nodes(fmt.Sprintf("/dev/nvidia%d", minor)).information(bus, minor, uuid, model)
}

// information is what /proc says of a GPU.
func (r *fakeRoot) information(bus string, minor int, uuid, model string) *fakeRoot {
	r.t.Helper()
	return r.file("/proc/driver/nvidia/gpus/"+bus+"/information", fmt.Sprintf(
		"Model: \t\t %s\nIRQ:   \t\t 17\nGPU UUID: \t %s\nBus Type: \t PCIe\nBus Location: \t %s\nDevice Minor: \t %d\nGPU Excluded:\t No\n",
		model, uuid, bus, minor))
}

func (r *fakeRoot) driver(version, libDir string) *fakeRoot {
	r.t.Helper()
	for lib, soname := range map[string]string{
		"libcuda": "libcuda.so.1", "libcudadebugger": "libcudadebugger.so.1", "libnvidia-ml": "libnvidia-ml.so.1",
		"libnvidia-ptxjitcompiler": "libnvidia-ptxjitcompiler.so.1", "libGLX_nvidia": "libGLX_nvidia.so.0",
		"libnvidia-encode": "libnvidia-encode.so.1", "libnvidia-eglcore": "libnvidia-eglcore.so." + version,
	} {
		r.library(libDir+"/"+lib+".so."+version, soname)
	}
	return r
}

func (r *fakeRoot) library(p, soname string) *fakeRoot {
	r.t.Helper()
	return r.file(p, string(elfLibrary(soname, elf.ELFCLASS64, nativeMachine)))
}

// host is one that looks nowhere but below the fake root.
func (r *fakeRoot) host() view { return view{root: r.dir} }

// loaded makes the kernel's side of a driver with its common nodes.
func (r *fakeRoot) loaded(version string) *fakeRoot {
	r.t.Helper()
	return r.nodes(commonNodes...).file("/sys/module/nvidia/version", version+"\n")
}

// elfLibrary makes the least ELF file that has a SONAME: header, dynamic section, string tables, section headers.
func elfLibrary(soname string, class elf.Class, machine elf.Machine) []byte {
	const shstr = "\x00.dynamic\x00.dynstr\x00.shstrtab\x00"
	dynstr := "\x00" + soname + "\x00"
	var dyn bytes.Buffer
	if soname != "" {
		_ = binary.Write(&dyn, binary.LittleEndian, elf.Dyn64{Tag: int64(elf.DT_SONAME), Val: 1})
	}
	_ = binary.Write(&dyn, binary.LittleEndian, elf.Dyn64{})
	at := uint64(64)
	var body bytes.Buffer
	sections := []elf.Section64{{}}
	add := func(name uint32, kind elf.SectionType, link uint32, data []byte, ent uint64) {
		sections = append(sections, elf.Section64{Name: name, Type: uint32(kind), Off: at + uint64(body.Len()), Size: uint64(len(data)), Link: link, Entsize: ent, Addralign: 1})
		body.Write(data)
	}
	add(1, elf.SHT_DYNAMIC, 2, dyn.Bytes(), 16)
	add(10, elf.SHT_STRTAB, 0, []byte(dynstr), 0)
	add(18, elf.SHT_STRTAB, 0, []byte(shstr), 0)
	h := elf.Header64{Type: uint16(elf.ET_DYN), Machine: uint16(machine), Version: 1, Shoff: at + uint64(body.Len()),
		Ehsize: 64, Shentsize: 64, Shnum: uint16(len(sections)), Shstrndx: 3}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(class), byte(elf.ELFDATA2LSB), 1
	var out bytes.Buffer
	_ = binary.Write(&out, binary.LittleEndian, h)
	out.Write(body.Bytes())
	_ = binary.Write(&out, binary.LittleEndian, sections)
	return out.Bytes()
}

// golden compares with testdata/NAME, in which ROOT stands for the fake root. GBUILD_UPDATE=1 writes it.
func golden(t *testing.T, name, root, got string) {
	t.Helper()
	got = strings.ReplaceAll(got, root, "ROOT")
	file := filepath.Join("testdata", name)
	if os.Getenv("GBUILD_UPDATE") != "" {
		writeFile(t, file, got, 0o644)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s", name, diffLines(string(want), got))
	}
}

func diffLines(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for _, l := range w {
		if !slices.Contains(g, l) {
			fmt.Fprintln(&b, "-", l)
		}
	}
	for _, l := range g {
		if !slices.Contains(w, l) {
			fmt.Fprintln(&b, "+", l)
		}
	}
	if b.Len() == 0 {
		return "the order of lines\n" + got
	}
	return b.String()
}

// specOf is the spec of the driver that a host has.
func specOf(t testing.TB, h view) *specs.Spec {
	t.Helper()
	d, err := h.driver(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Spec()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
