//go:build !race

package jseval

const raceDetector = false
