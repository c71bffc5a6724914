//go:build !race

package wasm

const race = false
