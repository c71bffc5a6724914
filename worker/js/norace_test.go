//go:build !race

package js

const race = false
