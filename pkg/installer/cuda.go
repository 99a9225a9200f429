// This file owns which Python packages compile CUDA code when they are installed.

package installer

import (
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

var (
	cudaSource = lazyregexp.New(`(?i)(^|[/+])(flash[-_]attn|flash-attention|apex)([=<>~!@\[.;#/]|$)`)
	cudaWheels = lazyregexp.New(`(?i)(^|[/+])(xformers|deepspeed)([=<>~!@\[.;#/]|$)`) // These need it only when they are built from source.
	flashSkips = lazyregexp.New(`FLASH_ATTENTION_SKIP_CUDA_BUILD=["']?TRUE`)
	otherChip  = lazyregexp.New(`(?i)habana|gaudi|rocm|hipcc|_hip_|ascend|neuron|\b(hpu|npu|xpu|amd)\b`)
)

// CompilesCUDA names the first requirement that compiles CUDA code when it is installed; some do so only fromSource. Empty: none.
func CompilesCUDA(words []string, fromSource bool) string {
	for _, w := range words {
		if strings.HasPrefix(w, "-") || strings.HasSuffix(w, ".whl") || strings.HasSuffix(w, ".txt") {
			continue
		}
		if m := cudaSource().FindStringSubmatch(w); m != nil {
			return m[2]
		}
		if m := cudaWheels().FindStringSubmatch(w); m != nil && fromSource {
			return m[2]
		}
	}
	return ""
}

// BuildsDeepSpeed is for the variables that make DeepSpeed compile when it is installed.
func BuildsDeepSpeed(variable string) bool { return strings.HasPrefix(variable, "DS_BUILD_") }

// SkipsFlashAttention says whether a text keeps flash-attn from compiling.
func SkipsFlashAttention(text string) bool { return flashSkips().MatchString(text) }

// IsForOtherChip says whether a text is about accelerators that run no CUDA code.
func IsForOtherChip(text string) bool { return otherChip().MatchString(text) }
