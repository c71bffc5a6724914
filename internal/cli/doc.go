// Package cli is the command line of pace: one file per command, which parses
// its words, asks the daemon through package api, and prints the answer.
package cli
