// This file owns what a Python is to run: a module, a file, or text.

package shell

import (
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/installer"
)

// runPython looks at what a Python is to run: a module, or a file that is one of the programs.
func (m *meaning) runPython(words []Word) {
	for i := 1; i < len(words); i++ {
		value := words[i].Value
		switch {
		case value == "-c":
			if i+1 < len(words) {
				m.pythonText(words[i+1].Value, words[0])
			}
			return
		case value == "-m":
			m.module(words, i+1)
			return
		case len(value) > 2 && strings.HasPrefix(value, "-m"):
			inner := slices.Clone(words)
			inner[i].Value, inner[i].Part = value[2:], true
			m.module(inner, i)
			return
		case value == "-W" || value == "-X" || value == "--check-hash-based-pycs":
			i++
		case value == "-":
			m.python = true
			return
		case isOption(words[i]) && len(value) > 2 && strings.HasSuffix(value, "m") && !strings.HasPrefix(value, "--"): // -Im
			m.module(words, i+1)
			return
		case !isOption(words[i]):
			m.module(words, i)
			return
		}
	}
	m.python = true
}

// pythonText looks into what a Python is to execute.
func (m *meaning) pythonText(text string, python Word) {
	starts, keepsNone := installer.StartsPip(text)
	if !starts {
		return
	}
	args := []Word{{Value: "install"}}
	if keepsNone {
		args = append(args, Word{Value: "--no-cache-dir", Part: true})
	}
	m.programs = append(m.programs, Program{Name: "pip", Path: python.Value, at: python.At, Args: args, Barrier: m.barrier})
}

// module takes the program that a Python runs from an index on.
func (m *meaning) module(words []Word, i int) {
	if i >= len(words) {
		return
	}
	name, at := installer.Module(values(words[i:]))
	if name == "" {
		return
	}
	rest := slices.Clone(words[i+at:])
	rest[0].Value = name
	inner := understand(rest, "", nil)
	for j := range inner.programs {
		inner.programs[j].Path = words[0].Value
	}
	inner.loops = inner.loops || m.loops
	m.become(inner)
}
