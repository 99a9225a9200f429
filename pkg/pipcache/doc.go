// Package pipcache keeps cache mounts: directories that outlive builds and are bound into a RUN. It hands out leases on
// them, says what is inside (pip's wheels by name), and removes them only when asked to.
package pipcache
