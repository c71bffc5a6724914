// Package adopt answers for a program that was never written to share a port: its
// calls of bind(2), listen(2) and shutdown(2) stop in the kernel (seccomp user
// notification), are looked at here, carried out on a duplicate of the program's
// own socket, and answered.
//
// It knows the calls and the rules that hold for every program: which sockets are
// concerned, where the kernel has to decide itself, how to read what a program
// passed without trusting it, how to turn an MPTCP socket into a TCP one. What is to
// become of a socket is the [Handler]'s to say.
//
// A [Server] ends with its process, the stopped calls do not: they wait for the
// next one, which takes up also those that its predecessor had begun.
//
// Linux 5.14 or later on amd64 and arm64; see [Probe].
package adopt
