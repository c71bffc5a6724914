// Package app is the vocabulary of Paceline: what an app, an instance, a state
// and an event are, as plain values that every other package exchanges.
package app
