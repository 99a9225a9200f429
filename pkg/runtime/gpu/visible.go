// This file owns NVIDIA_VISIBLE_DEVICES: which GPUs a container asks for by its environment. Docker's own runtime does not look at it, and
// neither does gbuild; NVIDIA's does, which users ask for by --runtime nvidia.

package gpu

import (
	"slices"
	"strings"
)

// noGPU is the CDI name by which a request means the driver without any GPU. No spec has it.
const noGPU = nvidiaKind + "=none"

// Visible is the request that a container's environment makes of NVIDIA's runtime, of its NVIDIA_VISIBLE_DEVICES: "all", indices, UUIDs,
// instances, names of CDI; "none" is the driver without a GPU, and "void", or nothing, no request at all. Images from before that
// variable want all GPUs, and say so by CUDA_VERSION alone.
func Visible(env []string) Request {
	none := Request{}
	value, set := lastEnv(env, "NVIDIA_VISIBLE_DEVICES")
	if !set && isOldImage(env) {
		value = "all"
	}
	var ids []string
	for id := range strings.SplitSeq(value, ",") {
		if id = strings.TrimSpace(id); id != "" {
			ids = append(ids, id)
		}
	}
	if slices.Contains(ids, "void") {
		return none
	}
	for i, id := range ids {
		switch id {
		case "all":
			return Request{Count: -1}
		case "none":
			return Request{DeviceIDs: []string{noGPU}}
		}
		// NVIDIA's runtime makes specs of this kind for itself; devices are called the same in both.
		if device, ok := strings.CutPrefix(id, "runtime.nvidia.com/gpu="); ok {
			ids[i] = nvidiaKind + "=" + device
		}
	}
	return Request{DeviceIDs: ids}
}

// isOldImage says whether an image is from before NVIDIA_VISIBLE_DEVICES.
func isOldImage(env []string) bool {
	version, _ := lastEnv(env, "CUDA_VERSION")
	require, _ := lastEnv(env, "NVIDIA_REQUIRE_CUDA")
	return version != "" && require == ""
}

// Hint says, in one line, that an image that is run without GPUs asks for them, or "".
func Hint(env []string) string {
	r := Visible(env)
	if r.None() || slices.Equal(r.DeviceIDs, []string{noGPU}) {
		return ""
	}
	return "this image asks for NVIDIA GPUs; run it with --gpus all to give it them"
}
