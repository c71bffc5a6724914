// Package hostinfo measures the machine for a moment: CPU, memory, network, disks.
package hostinfo

// Host is what was measured.
type Host struct {
	CPUPercent                    float64 // of all CPUs
	MemoryTotal, MemoryAvailable  uint64  // bytes
	Nets                          []Net   // in the kernel's order
	ReadPerSecond, WrotePerSecond float64 // bytes, of all disks
	RootUsed, RootTotal           uint64  // bytes of the file system at /
}

// Net is one network interface.
type Net struct {
	Name           string
	Received, Sent float64 // bytes per second
}
