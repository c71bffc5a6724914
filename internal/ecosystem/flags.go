package ecosystem

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"paceline/internal/app"
)

// flagError is the error of every flag value that cannot be read.
func flagError(flag, value, accepted string) error {
	return fmt.Errorf("%s %q: want %s", flag, value, accepted)
}

// policy puts the flags of o that need no look at the program into spec.
func policy(o *StartOptions, spec *app.Spec) error {
	spec.Namespace, spec.InstanceVar = o.Namespace, o.InstanceVar
	if o.InstanceVar != "" && !validVariable(o.InstanceVar) {
		return flagError("--instance-var", o.InstanceVar, "the name of a variable, e.g. WORKER_ID")
	}
	if o.Namespace != "" {
		if err := app.ValidName(o.Namespace); err != nil {
			return flagError("--namespace", o.Namespace, "a word such as web")
		}
	}
	spec.Balance = app.Balance(o.Balance)
	if o.Balance != "" && !slices.Contains(app.Balances(), spec.Balance) {
		return flagError("--balance", o.Balance, "round-robin, shared, ip-hash or none")
	}
	spec.NoAutorestart, spec.NoAutostart, spec.NoRetry = o.Restart.NoAutorestart, o.Restart.NoAutostart, o.Restart.NoRetry
	spec.NoTreekill, spec.WaitReady = o.Stop.NoTreekill, o.Stop.WaitReady
	spec.ShutdownWithMessage = o.Stop.ShutdownWithMessage
	spec.MergeLogs, spec.LogTime = o.Log.Merge, o.Log.Time

	var err error
	if spec.Instances, err = instances(o.Instances, o.CPUs); err != nil {
		return err
	}
	if text := o.Restart.MaxRestarts; text != "" {
		if spec.MaxRestarts, err = count("--max-restarts", text); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		flag, text string
		into       *app.Duration
	}{
		{"--min-uptime", o.Restart.MinUptime, &spec.MinUptime},
		{"--restart-delay", o.Restart.Delay, &spec.RestartDelay},
		{"--exp-backoff-restart-delay", o.Restart.ExpBackoff, &spec.ExpBackoff},
		{"--kill-timeout", o.Stop.KillTimeout, &spec.KillTimeout},
		{"--listen-timeout", o.Stop.ListenTimeout, &spec.ListenTimeout},
	} {
		if f.text == "" {
			continue
		}
		d, err := app.ParseDuration(f.text)
		if err != nil || d < 0 {
			return flagError(f.flag, f.text, "milliseconds or a duration such as 1.6s, 5m or 1h")
		}
		*f.into = d
	}
	if text := o.Stop.KillSignal; text != "" {
		sig, err := app.ParseSignal(text)
		if err != nil {
			return flagError("--kill-signal", text, "a signal such as SIGINT, TERM or 15")
		}
		spec.KillSignal = text
		if name := app.SignalName(sig); strings.HasPrefix(name, "SIG") {
			spec.KillSignal = name
		}
	}
	if spec.StopExitCodes, err = exitCodes(o.Restart.StopExitCodes); err != nil {
		return err
	}
	if spec.LogMaxBytes, err = logSize("--log-max-size", o.Log.MaxSize); err != nil {
		return err
	}
	if _, err := app.ParseForward(o.Log.Forward); err != nil {
		return flagError("--log-forward", o.Log.Forward, "journald, syslog, syslog://host:514, syslog+tcp://host:601 or syslog+unix:///path")
	}
	spec.LogForward = o.Log.Forward
	if text := o.Log.Keep; text != "" {
		if spec.LogKeep, err = count("--log-keep", text); err != nil {
			return err
		}
		if spec.LogKeep == 0 {
			spec.LogKeep = -1 // in a spec zero is the default
		}
	}
	for _, read := range []func(*StartOptions, *app.Spec) error{times, limits, logFormat, relations} {
		if err := read(o, spec); err != nil {
			return err
		}
	}
	return nil
}

// logFiles resolves the log paths below cwd.
func logFiles(o *StartOptions, cwd string, spec *app.Spec) error {
	for _, f := range []struct {
		flag, text string
		into       *string
	}{
		{"--output", o.Log.Out, &spec.OutFile},
		{"--error", o.Log.Err, &spec.ErrFile},
		{"--log", o.Log.Both, &spec.LogFile},
		{"--pid", o.Log.PID, &spec.PIDFile},
	} {
		switch f.text {
		case "":
			continue
		case "NULL", os.DevNull:
			*f.into = os.DevNull
			continue
		}
		*f.into = join(cwd, f.text)
		if fi, err := os.Stat(*f.into); err == nil && fi.IsDir() || strings.HasSuffix(f.text, "/") {
			return fmt.Errorf("%s %q is a folder; name a file in it, e.g. %s", f.flag, f.text, filepath.Join(f.text, "app.log"))
		}
	}
	return nil
}

// sockets reads --socket.
func sockets(o *StartOptions, cwd string, spec *app.Spec) (err error) {
	if spec.Sockets, err = app.NormaliseSocketsIn(cwd, o.Sockets); err != nil {
		return fmt.Errorf("--%w", err)
	}
	return nil
}

// instances reads -i. Zero and "max" mean every CPU, as in PM2, and a negative
// number leaves that many out.
func instances(text string, cpus func() int) (int, error) {
	if text == "" {
		return 1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil && text != "max" || n > app.MaxInstances || n < -app.MaxInstances {
		return 0, flagError("-i", text, fmt.Sprintf("a number from 1 to %d, max, or -1 for all CPUs but one", app.MaxInstances))
	}
	if n > 0 {
		return n, nil
	}
	all := 1
	if cpus != nil {
		all = cpus()
	}
	return min(max(all+n, 1), app.MaxInstances), nil
}

// count reads a number from zero up.
func count(flag, text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > math.MaxInt32 {
		return 0, flagError(flag, text, "a number from 0 up")
	}
	return n, nil
}

// exitCodes reads "0 130,143".
func exitCodes(text string) ([]int, error) {
	var codes []int
	for _, f := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		n, err := strconv.Atoi(f)
		if err != nil || n < 0 || n > 255 {
			return nil, flagError("--stop-exit-codes", text, `codes from 0 to 255, e.g. "0 130,143"`)
		}
		codes = append(codes, n)
	}
	return codes, nil
}

var sizeText = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([0-9]+)([KMGkmg]?)([iI]?[bB])?$`) })

// logSize reads "10M", "512K" or bytes; "off" and 0 mean never (-1 in a spec).
func logSize(flag, text string) (int64, error) {
	switch text {
	case "":
		return 0, nil
	case "off", "0":
		return -1, nil
	}
	if n, ok := parseSize(text); ok && n > 0 {
		return n, nil
	}
	return 0, flagError(flag, text, `a size such as 10M, 512K or 1G, or "off"`)
}

// parseSize reads "10M", "512K", "1G" or bytes.
func parseSize(text string) (int64, bool) {
	m := sizeText().FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	shift := map[string]uint{"": 0, "K": 10, "M": 20, "G": 30}[strings.ToUpper(m[2])]
	if err != nil || n > math.MaxInt64>>shift {
		return 0, false
	}
	return n << shift, true
}
