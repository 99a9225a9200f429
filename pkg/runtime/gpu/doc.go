// Package gpu turns what a host has into what a sandbox gets: runtime.Edits, which are data.
//
// # Nouns
//
// A Catalog knows devices by their CDI names (vendor/class=name). It reads the specs of the Container Device Interface in the
// directories of the host, and makes one of NVIDIA's driver itself where none is written: a Host finds the driver's version,
// GPUs, libraries and programs by files alone, without NVML. A Request is one --gpus flag; Catalog.Resolve gives the names
// that it means, and Catalog.Inject their Edits. NVIDIA's own hook in place of all that is LegacyEdits.
//
// Driver is NVIDIA's driver with its GPUs, as FindDriver sees them; Driver.Spec describes it as nvidia-ctk would. Where a spec
// on disk is stale (it names another driver's libraries), the one made here is used instead, and that is said. Error is a request
// that this host cannot serve; host.Missing says that the host itself lacks something.
//
// # How they meet
//
// specfile.go reads a spec and says whether it is to be believed; catalog.go knows which devices there are; an injection
// (injection.go) gathers the edits of the devices that are asked for: inject.go by the rules of CDI, nvidia.go by what is
// special about NVIDIA's driver. view.go, driver.go, libs.go and driverfiles.go look at the host; a test makes one up in a directory. wsl.go and
// jetson.go are for hosts with drivers of another kind, and features.go is for what the environment of a container asks for besides GPUs. What
// NVIDIA's own tools make of the same hosts is recorded in testdata, whose README.md has the differences.
//
// # What is never done here
//
// Nothing of a vendor runs here but nvidia-smi, for what no file says. What a spec may ask for is held against a short list: a
// spec is a file that somebody else wrote. NVIDIA's hooks are not run either: what they would do is turned into edits of the root, which
// package runtime makes. Nothing of the host is changed, and no GPU is opened but to learn its UUID.
package gpu
