package ecosystem

import "paceline/internal/app"

// FormatJSON writes an app file.
func FormatJSON(specs []app.Spec) []byte { return nil }
