module paceline/internal/e2e

go 1.26.0

replace paceline => ../..

require golang.org/x/sys v0.49.0
