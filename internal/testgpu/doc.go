// Package testgpu makes up a host with NVIDIA GPUs, on a machine without, for tests that run the program itself there: a driver with
// its libraries and programs, device nodes, and /proc as the driver shows it.
//
// A Host is a directory. A command of Host.Command sees it laid over this machine, in a mount namespace of its own (files/enter.sh). The
// libraries are one small library under many names, which does by the processor what a check asks of CUDA (files/libcuda.c).
package testgpu
