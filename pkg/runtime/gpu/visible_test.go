package gpu

import (
	"reflect"
	"testing"
)

// The cases are those of NVIDIA's container toolkit, and what its documentation says of the variable.
func TestVisible(t *testing.T) {
	all, nothing := Request{Count: -1}, Request{}
	for _, c := range []struct {
		env  []string
		want Request
	}{
		{nil, nothing},
		{[]string{"NVIDIA_VISIBLE_DEVICES="}, nothing},
		{[]string{"NVIDIA_VISIBLE_DEVICES= , "}, nothing},
		{[]string{"NVIDIA_VISIBLE_DEVICES=void"}, nothing},
		{[]string{"NVIDIA_VISIBLE_DEVICES=0,void"}, nothing},
		{[]string{"NVIDIA_VISIBLE_DEVICES=all,void"}, nothing},
		{[]string{"NVIDIA_VISIBLE_DEVICES=none"}, Request{DeviceIDs: []string{noGPU}}},
		{[]string{"NVIDIA_VISIBLE_DEVICES=all"}, all},
		{[]string{"NVIDIA_VISIBLE_DEVICES=0,all"}, all},
		{[]string{"NVIDIA_VISIBLE_DEVICES=none,all"}, Request{DeviceIDs: []string{noGPU}}},
		{[]string{"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_VISIBLE_DEVICES=1"}, Request{DeviceIDs: []string{"1"}}},
		{[]string{"NVIDIA_VISIBLE_DEVICES=0, 1,,GPU-x"}, Request{DeviceIDs: []string{"0", "1", "GPU-x"}}},
		{[]string{"NVIDIA_VISIBLE_DEVICES=0:1,MIG-y"}, Request{DeviceIDs: []string{"0:1", "MIG-y"}}},
		{[]string{"NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0,runtime.nvidia.com/gpu=all,example.com/class=dev"},
			Request{DeviceIDs: []string{"nvidia.com/gpu=0", "nvidia.com/gpu=all", "example.com/class=dev"}}},
		{[]string{"CUDA_VERSION=9.0.1"}, all},
		{[]string{"CUDA_VERSION="}, nothing},
		{[]string{"CUDA_VERSION=12.4.1", "NVIDIA_REQUIRE_CUDA=cuda>=12.4"}, nothing},
		{[]string{"CUDA_VERSION=9.0", "NVIDIA_VISIBLE_DEVICES="}, nothing},
	} {
		if got := Visible(c.env); got.Count != c.want.Count || len(got.DeviceIDs)+len(c.want.DeviceIDs) > 0 && !reflect.DeepEqual(got.DeviceIDs, c.want.DeviceIDs) {
			t.Errorf("%q asks for %+v, want %+v", c.env, got, c.want)
		}
	}
}
