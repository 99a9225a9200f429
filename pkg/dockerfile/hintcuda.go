// This file owns the hint about a RUN that compiles CUDA code without the architectures being named.

package dockerfile

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/installer"
)

// cuda gives the hint for the first command that needs it. A RUN with a device can ask that for its architecture, and
// other accelerators have none to be named.
func (h *hinter) cuda() {
	if len(h.step.Devices) > 0 {
		return
	}
	for _, c := range h.commands {
		what := h.compilesCUDA(c)
		if what == "" {
			continue
		}
		if h.otherChip() {
			return
		}
		if advice := h.archAdvice(what); advice != "" {
			h.say(&cudaArchMissing, advice)
			return
		}
	}
}

// archAdvice says how to name the architectures of what is compiled; empty where they are named. flash-attn asks neither
// torch nor a GPU.
func (h *hinter) archAdvice(what string) string {
	if strings.HasPrefix(strings.ToLower(what), "flash") {
		skip, _ := h.env.Get("FLASH_ATTENTION_SKIP_CUDA_BUILD")
		if h.names("FLASH_ATTN_CUDA_ARCHS") || skip == "TRUE" || h.anyText(installer.SkipsFlashAttention) {
			return ""
		}
		advice := what + " compiles CUDA code for every architecture that it knows; set FLASH_ATTN_CUDA_ARCHS"
		if h.names("TORCH_CUDA_ARCH_LIST") {
			advice += " (it does not read TORCH_CUDA_ARCH_LIST)"
		}
		return advice
	}
	if h.names("TORCH_CUDA_ARCH_LIST") || what == "setup.py" && h.names("CUDA_ARCH") {
		return ""
	}
	return what + " compiles CUDA code, for every architecture or the wrong one where no GPU can be asked; set TORCH_CUDA_ARCH_LIST, or give the RUN a --device"
}

// names says whether the RUN's text or its environment has a variable of a name, or of one that has it in it.
func (h *hinter) names(variable string) bool {
	has := func(s string) bool { return strings.Contains(s, variable) }
	return h.anyText(has) || h.anyVariable(has)
}

// otherChip says whether the stage is for accelerators that run no CUDA code: by its base, its environment, or the RUN.
func (h *hinter) otherChip() bool {
	for s := h.stage; s != nil; s = s.Base.Stage {
		if installer.IsForOtherChip(s.baseText) || installer.IsForOtherChip(s.Base.Name) {
			return true
		}
	}
	return h.anyVariable(installer.IsForOtherChip) || h.anyText(installer.IsForOtherChip)
}

// compilesCUDA names what the command compiles CUDA code of; empty for nothing.
func (h *hinter) compilesCUDA(c invocation) string {
	if i := slices.IndexFunc(c.words, func(w string) bool { return path.Base(w) == "setup.py" }); i > 0 {
		return h.setupPy(c.words[i:])
	}
	if c.installs(installer.Pip) == nil && c.installs(installer.Uv) == nil || slices.Contains(c.words, "--only-binary") {
		return ""
	}
	line := strings.Join(c.words, " ")
	source := strings.Contains(line, "git+") || strings.Contains(line, "--no-binary") || h.anyVariable(installer.BuildsDeepSpeed) ||
		slices.ContainsFunc(slices.Collect(maps.Keys(c.env)), installer.BuildsDeepSpeed)
	return installer.CompilesCUDA(c.words[1:], source)
}

// setupPy says whether the words of a setup.py compile CUDA code.
func (h *hinter) setupPy(words []string) string {
	_, toolkit := h.env.Get("CUDA_VERSION") // NVIDIA's images set it.
	named := strings.Contains(strings.ToLower(strings.Join(h.step.Args, " ")), "nvcc")
	builds := slices.ContainsFunc(words, func(w string) bool {
		return w == "install" || w == "develop" || w == "bdist_wheel" || w == "build_ext" || w == "build"
	})
	if builds && (toolkit || named) {
		return "setup.py"
	}
	return ""
}
