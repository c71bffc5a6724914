//go:build !linux

package kernel

import "runtime"

// CPUs returns how many CPUs this process may use.
func CPUs() int { return runtime.NumCPU() }

// Probes says the one thing there is to say on other systems.
func Probes() []Probe {
	return []Probe{{
		Name: "Linux", Use: "Paceline runs on Linux; elsewhere only parts of it do", Needs: "Linux 5.10",
		Run:   func() error { return &UnsupportedError{Feature: "Paceline", Since: "5.10"} },
		Found: func() string { return runtime.GOOS },
	}}
}

// LogOf returns nothing: the log is Linux'.
func LogOf(int) []string { return nil }
