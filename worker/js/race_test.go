//go:build race

package js

const race = true
