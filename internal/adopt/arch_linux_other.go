//go:build linux && !amd64 && !arm64

package adopt

// auditArch 0 stands for an architecture for which there is no filter: big-endian
// ones, and those where one call (socketcall) does it all.
const auditArch = 0
