//go:build race

package jseval

const raceDetector = true
