package ecosystem

import (
	"context"
	"errors"

	"paceline/internal/app"
)

// FromArgs returns the validated spec of the app that o describes, with app's
// defaults, and warnings for the user: one line each, without a full stop. It
// reads files and may run `node --version`, which ctx bounds. Errors are one
// line that names what is wrong and what would do.
func FromArgs(ctx context.Context, o StartOptions) (spec app.Spec, warnings []string, err error) {
	return app.Spec{}, nil, errors.ErrUnsupported
}
