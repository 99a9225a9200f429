package running

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/docker/go-units"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/envfile"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/gpu"
)

// grammars are the flags whose values docker's own parsers were asked about. testdata/grammar has what they said, one file for
// each. A function gives what gbuild makes of a value, in the words of the file.
var grammars = map[string]func(value string) (string, error){
	"env":      readEnv,
	"env-file": readEnvFileText,
	"dotenv":   readDotenv,
	"volume":   func(value string) (string, error) { m, err := parseVolume(value); return mountWords(value, m), err },
	"mount":    func(value string) (string, error) { m, err := parseMount(value); return mountWords(value, m), err },
	"port":     func(value string) (string, error) { list, err := parsePorts(value); return portWords(list), err },
	"add-host": readHost,
	"device":   readDevice,
	"gpus":     readGPUs,
	"label":    readLabel,
	"restart":  readRestart,
	"ulimit":   readUlimit,
	"memory": func(value string) (string, error) {
		return readSizes("memory", value, func(o *Options) any { return o.Limits.parsed.Memory })
	},
	"cpus": func(value string) (string, error) {
		return readSizes("cpus", value, func(o *Options) any { return o.Limits.parsed.CPUs })
	},
	"pids-limit": func(value string) (string, error) {
		return readSizes("pids-limit", value, func(o *Options) any { return o.Limits.parsed.Pids })
	},
	"shm-size": func(value string) (string, error) {
		return readSizes("shm-size", value, func(o *Options) any { return o.Box.shm })
	},
	"tmpfs": func(value string) (string, error) { m, err := parseTmpfs(value); return tmpfsEffect(m), err },
}

// refused stands for an error, whatever its words are.
const refused = "refused"

// Values of flags mean what docker's parsers make of them. Where gbuild means to differ, the table says so, and why.
func TestFlagsAreReadAsDockerReadsThem(t *testing.T) {
	for _, group := range slices.Sorted(maps.Keys(grammars)) {
		t.Run(group, func(t *testing.T) {
			table := readGrammar(t, group)
			same := 0
			for _, one := range table {
				got, err := grammars[group](one.value)
				if err != nil {
					got = refused
				}
				if got == one.docker {
					same++
				}
				if want := one.wanted(); got != want {
					t.Errorf("%q: %s (%v), want %s", one.value, got, err, want)
				}
				if one.differs && (one.gbuild == one.docker || len(one.why) < 10) {
					t.Errorf("%q: a difference that is none, or has no reason", one.value)
				}
			}
			t.Logf("%s: %d of %d values as docker's parsers have them, %d differences with a reason", group, same, len(table), len(table)-same)
			if len(table) < 20 || same*100 < len(table)*98 {
				t.Errorf("%d of %d values are read as docker reads them", same, len(table))
			}
		})
	}
}

// verdict is a line of a table, and the line below it where gbuild differs.
type verdict struct {
	value, docker string
	differs       bool
	gbuild, why   string
}

func (v verdict) wanted() string {
	if v.differs {
		return v.gbuild
	}
	return v.docker
}

func readGrammar(t *testing.T, group string) (list []verdict) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "grammar", group+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		// What docker makes of a relative path depends on where it stands.
		line = strings.NewReplacer("$PWD/..", filepath.Dir(here), "$PWD", here).Replace(line)
		fields := strings.Split(line, "\t")
		switch {
		case strings.HasPrefix(line, "#"):
		case fields[0] == "" && len(fields) == 3 && len(list) > 0:
			last := &list[len(list)-1]
			last.differs, last.gbuild, last.why = true, fields[1], fields[2]
		default:
			value, err := strconv.Unquote(fields[0])
			if err != nil || len(fields) != 2 {
				t.Fatalf("%s: %q: %v", group, line, err)
			}
			list = append(list, verdict{value: value, docker: fields[1]})
		}
	}
	return list
}

// callersEnv is the environment of whoever calls, in the tables.
func callersEnv(name string) (string, bool) {
	value, ok := map[string]string{"HOME": "/h", "EMPTY": "", "CALLER": "mine"}[name]
	return value, ok
}

// quoteAll words variables as the tables do.
func quoteAll(list []string) string {
	quoted := make([]string, len(list))
	for i, one := range list {
		quoted[i] = strconv.Quote(one)
	}
	return strings.Join(quoted, " ")
}

func readEnv(value string) (string, error) {
	p := &Process{Env: strings.Split(value, "\n")}
	box := &runtime.Sandbox{Hostname: "box"}
	if err := p.fillEnv(box, &v1.Config{Env: []string{"IMAGE=said", "BOTH=image"}}, cli.New(callersEnv, nil, cli.Handed{})); err != nil {
		return "", err
	}
	last := map[string]string{}
	for _, e := range box.Env {
		name, _, _ := strings.Cut(e, "=")
		last[name] = strings.Replace(e, "PATH="+defaultPath, "PATH=/bin", 1)
	}
	delete(last, "HOSTNAME")
	return quoteAll(slices.Sorted(maps.Values(last))), nil
}

func readEnvFileText(text string) (string, error) {
	list, _, err := envfile.ParseDocker("f", []byte(text), callersEnv)
	return quoteAll(list), err
}

func readDotenv(text string) (string, error) {
	list, err := envfile.ParseDotenv("f", []byte(text), callersEnv)
	slices.Sort(list)
	return quoteAll(list), err
}

// mountWords words a mount as the tables do. Of propagation only what gbuild makes of it is kept, so the word is taken from the value.
func mountWords(value string, m runtime.Mount) string {
	words := []string{strings.TrimSuffix(m.Type, "-nocopy")}
	switch source := m.Source; {
	case m.Type != "tmpfs" && source == "":
		words = append(words, strconv.Quote("-"))
	case m.Type != "tmpfs":
		words = append(words, strconv.Quote(source))
	}
	words = append(words, strconv.Quote(m.Target))
	add := func(yes bool, word string) {
		if yes {
			words = append(words, word)
		}
	}
	add(m.ReadOnly, "ro")
	add(m.Type == container.EmptyVolumeMount, "nocopy")
	for _, word := range strings.FieldsFunc(strings.ToLower(value), func(c rune) bool { return strings.ContainsRune(":,=", c) }) {
		if later, known := propagations[word]; known && word != "rprivate" && m.Type == "bind" {
			add(later == m.Below.Later, "propagation="+word)
		}
	}
	add(m.Below.Hidden, "nonrecursive")
	add(m.Below.Writable, "writable-below")
	add(m.Size != 0, fmt.Sprintf("size=%d", m.Size))
	if m.Mode != nil {
		add(true, fmt.Sprintf("mode=%o", *m.Mode))
	}
	return strings.Join(words, " ")
}

// tmpfsEffect words a tmpfs by the flags and data that it comes to.
func tmpfsEffect(m runtime.Mount) string {
	words := []string{}
	for word, flag := range map[string]uintptr{"nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC, "sync": unix.MS_SYNCHRONOUS, "dirsync": unix.MS_DIRSYNC,
		"mand": unix.MS_MANDLOCK, "noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME, "strictatime": unix.MS_STRICTATIME} {
		if m.Flags&flag != 0 && m.Flags != keptTimes {
			words = append(words, word)
		}
	}
	if m.ReadOnly {
		words = append(words, "ro")
	}
	slices.Sort(words)
	data := strings.FieldsFunc(m.Data, func(c rune) bool { return c == ',' })
	for i, d := range data {
		if size, ok := strings.CutPrefix(d, "size="); ok && !strings.HasSuffix(size, "%") {
			n, _ := units.RAMInBytes(size)
			data[i] = fmt.Sprintf("size=%d", n)
		}
	}
	if m.Mode != nil {
		data = append(data, fmt.Sprintf("mode=%o", *m.Mode))
	}
	for name, id := range map[string]int{"uid": m.UID, "gid": m.GID} {
		if id != 0 {
			data = append(data, fmt.Sprintf("%s=%d", name, id))
		}
	}
	slices.Sort(data)
	return strings.Join(slices.Concat([]string{strconv.Quote(m.Target)}, words, data), " ")
}

// portWords words ports as the tables do.
func portWords(list []port) string {
	var words []string
	for _, p := range list {
		host := fmt.Sprint(p.first)
		if p.last == 0 {
			host = ""
		} else if p.last != p.first {
			host = fmt.Sprintf("%d-%d", p.first, p.last)
		}
		words = append(words, fmt.Sprintf("%s|%s->%d/%s", p.ip, host, p.target, p.protocol))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func readHost(value string) (string, error) {
	h, ok := cli.ParseHost(value, "host")
	if !ok {
		return "", errors.New("no host")
	}
	if strings.HasSuffix(value, "host-gateway") { // an address of this host
		h.Addr = "host-gateway"
	}
	return h.Name + " " + h.Addr, nil
}

func readDevice(value string) (string, error) {
	if gpu.IsCDIName(value) {
		return "cdi " + value, nil
	}
	d, err := gpu.ParseDevice(value)
	return fmt.Sprintf("%q %q %s", filepath.Clean(d.Host), d.Target, d.Permissions), err
}

func readGPUs(value string) (string, error) {
	r, err := gpu.Parse(value)
	return fmt.Sprintf("driver=%q count=%d ids=%q capabilities=%q options=%v", r.Driver, r.Count, r.DeviceIDs, r.Capabilities, r.Options), err
}

func readLabel(value string) (string, error) {
	labels, err := (&Entry{Labels: []string{value}}).labels(context.Background(), nil)
	for name, value := range labels {
		return fmt.Sprintf("%q %q", name, value), err
	}
	return "", err
}

func readRestart(value string) (string, error) {
	r, err := container.ParseRestart(value)
	name, times, _ := strings.Cut(r.String(), ":")
	return name + " " + cmp.Or(times, "0"), err
}

func readUlimit(value string) (string, error) {
	u, err := runtime.ParseUlimit(value)
	return fmt.Sprintf("%s %d %d", u.Name, u.Soft, u.Hard), err
}

// readSizes gives a flag its value, and returns what became of it.
func readSizes(flag, value string, of func(*Options) any) (string, error) {
	o := New()
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	o.Flags(f)
	err := f.Parse([]string{"--" + flag + "=" + value})
	if err == nil {
		err = errors.Join(o.Limits.parse(), o.Box.parse())
	}
	return fmt.Sprint(of(o)), err
}
