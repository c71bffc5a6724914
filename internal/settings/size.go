package settings

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// LogsMaxTotal is the key of the size that all log files together may have.
const LogsMaxTotal = "logs_max_total"

// ParseTotal reads a value of LogsMaxTotal: bytes, or a number with K, M, G or T; off is
// 0, which stands for no limit.
func ParseTotal(text string) (int64, error) {
	if text == "off" {
		return 0, nil
	}
	digits := strings.TrimRight(strings.ToUpper(text), "IB")
	shift := 0
	if n := len(digits); n > 0 {
		if at := strings.IndexByte("KMGT", digits[n-1]); at >= 0 {
			digits, shift = digits[:n-1], 10*(at+1)
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%s cannot be %q; write a size such as 500M or 4G, or off", LogsMaxTotal, text)
	}
	return n << shift, nil
}
