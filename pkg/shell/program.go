// This file owns the programs that a call comes to.

package shell

import "github.com/gbuild/gbuild/pkg/installer"

// Program is one that a call runs in the end, with its arguments.
type Program struct {
	Name    string // its name without path and version: pip, also for python3 -m pip
	Path    string // the first word that is a Python or the program, as it is written
	Args    []Word
	Barrier Barrier

	at int // place of the word that names it
}

// Call is the program with its arguments as texts.
func (p *Program) Call() installer.Call { return installer.Call{Name: p.Name, Args: values(p.Args)} }

// Fetches says whether the program fetches packages that the tool's cache keeps.
func (p *Program) Fetches(t installer.Tool) bool { return p.Call().Fetches(t) }

// Manages says whether the program is told about the tool's cache, and nothing else.
func (p *Program) Manages(t installer.Tool) bool { return p.Call().Manages(t) }

// OffWords are the arguments that turn the cache of the tool off. What follows -- is no option.
func (p *Program) OffWords(t installer.Tool) (all []Word) {
	flags := t.Cache().Flags
	for _, w := range p.Args {
		if w.Value == "--" {
			break
		}
		for _, flag := range flags {
			if w.Value == flag {
				all = append(all, w)
			}
		}
	}
	return all
}
