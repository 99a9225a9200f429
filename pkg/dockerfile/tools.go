// This file gives pkg/build the names of package managers under their former place, until it takes them from pkg/installer.

package dockerfile

import "github.com/gbuild/gbuild/pkg/installer"

// Tool is a package manager.
type Tool = installer.Tool

// The Tools that are known.
const (
	Pip   = installer.Pip
	Uv    = installer.Uv
	Conda = installer.Conda
	Npm   = installer.Npm
	Apt   = installer.Apt
)

// Tools are all that are known, in the order in which they are listed for people.
var Tools = installer.Tools
