package ecosystem

import (
	"context"
	"encoding/json"
)

// Deploy returns the deploy section of an app file, by environment, as it is written.
// What is wrong with the apps of the file is not looked at: what is deployed has a
// file of its own. Errors: *jseval.Error for JavaScript, else one line that names the
// file.
func Deploy(ctx context.Context, o LoadOptions) (map[string]json.RawMessage, error) {
	l, err := newLoader(ctx, &o)
	if err != nil {
		return nil, err
	}
	return l.file.Deploy, nil
}
