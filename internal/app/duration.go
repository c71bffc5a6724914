package app

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Duration is a time.Duration that JSON shows as Go writes it ("1.6s"). Reading
// accepts that form and a bare number of milliseconds, which is PM2's unit.
type Duration time.Duration

// ParseDuration reads "1.6s", "5m", "1h30m" or a bare number of milliseconds.
func ParseDuration(text string) (Duration, error) {
	if ms, err := strconv.ParseFloat(text, 64); err == nil {
		d := ms * float64(time.Millisecond)
		if !(d > -float64(1<<62) && d < float64(1<<62)) { // the negation also catches NaN
			return 0, fmt.Errorf("%q is out of range for a duration", text)
		}
		return Duration(d), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 1600, 1.6s or 5m", text)
	}
	return Duration(d), nil
}

// String returns the duration as time.Duration does.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes the duration as a string such as "1.6s".
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads what ParseDuration accepts, as a string or a number.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var text string
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	} else {
		text = string(b)
	}
	parsed, err := ParseDuration(text)
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
