// Package gpu turns what a host has into what a sandbox gets: runtime.Edits, which are data.
//
// A Catalog knows devices by their CDI names (vendor/class=name). It reads the specs of the Container Device Interface in the
// directories of the host, and makes one of NVIDIA's driver itself where none is written: a Host finds the driver's version,
// GPUs, libraries and programs by files alone, without NVML. A Request is one --gpus flag; Catalog.Resolve gives the names
// that it means, and Catalog.Inject their Edits. NVIDIA's own hook in place of all that is LegacyEdits.
//
// Nothing of a vendor runs here but nvidia-smi, for what no file says. What a spec may ask for is held against a short list: a
// spec is a file that somebody else wrote.
package gpu
