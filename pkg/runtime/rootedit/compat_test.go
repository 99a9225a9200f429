package rootedit

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
	"testing"
)

// libcuda is an ELF library with the note of forward compatibility, or one without where text is empty.
func libcuda(owner, text string, order binary.ByteOrder) []byte {
	const names = "\x00.note.cuda.fwd_compatibility\x00.shstrtab\x00"
	var note bytes.Buffer
	put := func(w *bytes.Buffer, v any) { _ = binary.Write(w, order, v) }
	put(&note, uint32(len(owner)+1))
	put(&note, uint32(len(text)))
	put(&note, uint32(1))
	note.WriteString(owner + strings.Repeat("\x00", (len(owner)+1+7)/8*8-len(owner)) + text)
	var body bytes.Buffer
	sections := []elf.Section64{{}}
	add := func(name uint32, kind elf.SectionType, data []byte) {
		sections = append(sections, elf.Section64{Name: name, Type: uint32(kind), Off: 64 + uint64(body.Len()), Size: uint64(len(data)), Addralign: 8})
		body.Write(append(data, make([]byte, (8-len(data)%8)%8)...))
	}
	if text != "" {
		add(1, elf.SHT_NOTE, note.Bytes())
	}
	add(30, elf.SHT_STRTAB, []byte(names))
	h := elf.Header64{Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Shoff: 64 + uint64(body.Len()),
		Ehsize: 64, Shentsize: 64, Shnum: uint16(len(sections)), Shstrndx: uint16(len(sections) - 1)}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	if order == binary.BigEndian {
		h.Ident[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
	}
	var out bytes.Buffer
	put(&out, h)
	out.Write(body.Bytes())
	put(&out, sections)
	return out.Bytes()
}

func noted(text string) string { return string(libcuda(compatOwner, text, binary.LittleEndian)) }

const (
	note129 = `{"Format": 1, "CUDA Version": "12.9", "Driver": [535, 550, 560, 565, 570, 575], "Device": [1, 2, 7, 8, 9, 10, 11, 12, 13, 14]}`
	note131 = `{"Format": 1, "CUDA Version": "13.1", "Driver": [535, 550, 570, 575, 580, 590], "Device": [1, 2, 7, 8, 9, 10, 11, 12, 13, 14]}`
	orin132 = `{"Format": 1, "CUDA Version": "13.2"}`
)

// The cases are those of NVIDIA's toolkit 1.20 (of its hook, of the note, and of the comparison), and some of ours. Its hook says the same of all of
// them: it was run on these files.
func TestCompat(t *testing.T) {
	plain := noted("")
	for _, c := range []struct {
		name, file, text string
		host             Compat
		want             bool
	}{
		// Without a note, the branches are compared.
		{"no library", "", "", Compat{Driver: "222.55.66"}, false},
		{"newer", "libcuda.so.333.88.99", plain, Compat{Driver: "222.55.66"}, true},
		{"newer, no ELF file", "libcuda.so.333.88.99", "", Compat{Driver: "222.55.66"}, true},
		{"older", "libcuda.so.111.88.99", plain, Compat{Driver: "222.55.66"}, false},
		{"same branch", "libcuda.so.222.88.99", plain, Compat{Driver: "222.55.66"}, false},
		{"numbers are compared, not text", "libcuda.so.222.88.99", plain, Compat{Driver: "99.55.66"}, true},
		{"no version of the host", "libcuda.so.222.88.99", plain, Compat{}, false},
		{"a version that is none", "libcuda.so.222.88.99", plain, Compat{Driver: "x.1"}, false},
		{"another name", "libcuda.so.1", plain, Compat{Driver: "222.55.66"}, false},
		{"CUDA without a note", "libcuda.so.1.1", plain, Compat{CUDA: "12.8"}, false},
		// With a note, it decides.
		{"branch not supported", "libcuda.so.575.57.08", noted(note129), Compat{Driver: "590.44.01"}, false},
		{"newer, branch left out", "libcuda.so.575.57.08", noted(note129), Compat{Driver: "545.23.08"}, false},
		{"branch supported", "libcuda.so.575.57.08", noted(note129), Compat{Driver: "570.211.01"}, true},
		{"oldest branch supported", "libcuda.so.575.57.08", noted(note129), Compat{Driver: "535.1.1"}, true},
		{"own branch, newer", "libcuda.so.575.57.08", noted(note129), Compat{Driver: "575.10.10"}, true},
		{"own branch, same", "libcuda.so.575.57.08", noted(note129), Compat{Driver: "575.57.08"}, false},
		{"own branch, older", "libcuda.so.575.57.08", noted(note129), Compat{Driver: "575.99.99"}, false},
		{"13.1 on 580", "libcuda.so.590.44.01", noted(note131), Compat{Driver: "580.95.05"}, true},
		{"13.1 on 560", "libcuda.so.590.44.01", noted(note131), Compat{Driver: "560.35.03"}, false},
		{"CUDA newer", "libcuda.so.575.57.08", noted(note129), Compat{CUDA: "12.8"}, true},
		{"CUDA same", "libcuda.so.575.57.08", noted(note129), Compat{CUDA: "12.9"}, false},
		{"CUDA older", "libcuda.so.575.57.08", noted(note129), Compat{CUDA: "12.10"}, false},
		{"the driver counts before CUDA", "libcuda.so.575.57.08", noted(note129), Compat{Driver: "590.44.01", CUDA: "12.8"}, false},
		{"Orin", "libcuda.so.1.1", noted(orin132), Compat{CUDA: "12.6"}, true},
		{"Orin, no branches", "libcuda.so.1.1", noted(orin132), Compat{Driver: "540.4.0"}, false},
		{"big endian", "libcuda.so.575.57.08", string(libcuda(compatOwner, note129, binary.BigEndian)), Compat{Driver: "590.44.01"}, false},
		// A note that is none leaves the branches.
		{"invalid JSON", "libcuda.so.999.88", noted(`{"Driver": [1,`), Compat{Driver: "570.1"}, true},
		{"somebody else's note", "libcuda.so.999.88", string(libcuda("GNU", note129, binary.LittleEndian)), Compat{Driver: "570.1"}, true},
		{"invalid JSON, CUDA", "libcuda.so.999.88", noted(`{"Driver": [1,`), Compat{CUDA: "12.8"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newImageRoot(t)
			if c.file != "" {
				r.file("/usr/local/cuda-12/compat/"+c.file, c.text).link("cuda-12", "/usr/local/cuda")
			}
			if c.file != "" && c.file != "libcuda.so.1" {
				r.link(c.file, "/usr/local/cuda-12/compat/libcuda.so.1")
			}
			dir, links := compatLinks(openRoot(t, r.dir), c.host)
			if (dir != "") != c.want || c.want && (dir != "/usr/local/cuda/compat" || len(links) != 1 ||
				links[0] != Link{dir + "/libcuda.so.1", NvidiaLibraryDir + "/libcuda.so.1"}) {
				t.Errorf("%q %v, want %v", dir, links, c.want)
			}
		})
	}
}

// The directory may be named, and links lead on, but not out.
func TestCompatDir(t *testing.T) {
	outer := newImageRoot(t).file("/compat/libcuda.so.999.1", "")
	r := newImageRoot(t).file("/etc/alternatives/cuda/compat/libcuda.so.333.1", "").link("/etc/alternatives/cuda", "/usr/local/cuda").
		file("/usr/local/other/libcuda.so.444.1", "").file("/compat/libcuda.so.555.1", "").link("../../../../../../", "/usr/local/up").
		link(outer.dir, "/usr/local/out").file("/usr/local/two/libcuda.so.444.1", "").file("/usr/local/two/libcuda.so.445.1", "")
	p := openRoot(t, r.dir)
	for dir, want := range map[string]string{"": "/usr/local/cuda/compat", "/usr/local/other": "/usr/local/other", "/usr/local/up/compat": "/usr/local/up/compat",
		"/usr/local/out/compat": "", "/usr/local/two": "", "/none": ""} {
		if got, _ := compatLinks(p, Compat{Driver: "222.1", Dir: dir}); got != want {
			t.Errorf("%q: %q, want %q", dir, got, want)
		}
	}
}

// An image may say anything in a library.
func TestHostileCompatNote(t *testing.T) {
	good := libcuda(compatOwner, note129, binary.LittleEndian)
	if n := readCompatNote(bytes.NewReader(good)); n == nil || n.CUDA != "12.9" || len(n.Driver) != 6 {
		t.Fatalf("%+v", n)
	}
	for i := range good {
		for _, b := range []byte{0x00, 0x7f, 0xff} {
			bad := bytes.Clone(good)
			bad[i] = b
			readCompatNote(bytes.NewReader(bad))
		}
		readCompatNote(bytes.NewReader(good[:i]))
	}
}

func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"575.57.08", "575.57.8", 0}, {"12.9", "12.10", -1}, {"580", "580.0.0", 0}, {"99.1", "222.0", -1}, {"580.95.05", "580.82.07", 1}} {
		if got := CompareVersions(c.a, c.b); (got < 0) != (c.want < 0) || (got > 0) != (c.want > 0) {
			t.Errorf("%s %s: %d", c.a, c.b, got)
		}
	}
}
