module paceline/internal/e2e

go 1.26.0

replace paceline => ../..

require (
	github.com/creack/pty v1.1.24
	github.com/rogpeppe/go-internal v1.16.0
	golang.org/x/sys v0.49.0
	paceline v0.0.0
)

require golang.org/x/tools v0.26.0 // indirect
