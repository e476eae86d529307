//go:build race

package main

// raceDetector says that the tests run several times slower than the program.
const raceDetector = true
