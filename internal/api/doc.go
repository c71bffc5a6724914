// Package api is the contract between the daemon and its clients: routes,
// requests, answers and error codes, with the Client that speaks it.
//
// It is HTTP/1.1 with JSON bodies over the unix socket in Paceline's home;
// openapi.json describes it. It only grows: a field, route or code may be added
// under the same API number, none changes its meaning, and both sides ignore
// fields they do not know, so that a CLI and a daemon of different versions
// still understand each other.
package api
