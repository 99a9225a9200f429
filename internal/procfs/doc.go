// Package procfs reads what the kernel says in /proc of mounts and of processes (proc(5)). It decides nothing.
package procfs
