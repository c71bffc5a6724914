package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"paceline/internal/app"
)

// PrinterOptions are the outputs of a Printer. They stay the caller's.
type PrinterOptions struct {
	Out, Err *os.File
	// Log gets what an administrator should know. It must not block.
	Log func(format string, a ...any)
}

// PrintSpec is a stream to print.
type PrintSpec struct {
	Source           // of which Path is not used
	Form   app.Print // "" is raw
	Time   bool      // raw: begin each line with its time
	Pipe   *os.File  // the read end of a pipe; taken over, also if Add fails
	// Copy is the write end of a pipe that gets every byte as it is; taken over. It
	// may be nil.
	Copy *os.File
	// Done is called once, from a goroutine of its own, when all writers have closed
	// the pipe and all is printed. It is not called after Close. It may be nil.
	Done func()
}

// whole tells that the bytes are printed as they come, lines or not.
func (s *PrintSpec) whole() bool { return s.Form == "" || s.Form == app.PrintRaw && !s.Time }

// toErr tells that the stream is printed on the standard error. Where each line
// says which stream it is of, all go to one place, in their order.
func (s *PrintSpec) toErr() bool {
	return s.Stream == streamErr && s.Form != app.PrintJSON && s.Form != app.PrintFormat
}

const streamErr = "err"

// printedLine is a line as JSON, in PM2's shape.
type printedLine struct {
	Message   string `json:"message"`
	Timestamp string `json:"timestamp"`
	Type      string `json:"type"` // "out" or "err"
	ID        int    `json:"process_id"`
	Name      string `json:"app_name"`
}

// appendLine appends one line, without its newline in text, as it is printed.
// Width is that of the widest name so far.
func (s *PrintSpec) appendLine(dst, text []byte, at time.Time, width int) []byte {
	switch s.Form {
	case app.PrintJSON:
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(printedLine{string(text), at.UTC().Format(isoFormat), s.Stream, s.ID, s.Name}); err != nil {
			panic(fmt.Sprintf("logs: encode line: %v", err)) // plain values
		}
		return append(dst, b.Bytes()...) // with its newline
	case app.PrintFormat:
		kind := s.Stream
		if kind == streamErr {
			kind = "error"
		}
		dst = fmt.Appendf(dst, "timestamp=%s app=%s id=%d type=%s message=", at.Format(printedFormat), s.Name, s.ID, kind)
		dst = append(dst, text...)
	case app.PrintNames:
		dst = fmt.Appendf(dst, "%-*s | ", width, s.prefix())
		dst = append(dst, text...)
	case app.PrintColours:
		dst = s.appendColoured(dst, width)
		dst = append(dst, text...)
	default:
		dst = at.AppendFormat(dst, printedFormat+" ")
		dst = append(dst, text...)
	}
	return append(dst, '\n')
}

// isoFormat is what JavaScript's toISOString writes.
const isoFormat = "2006-01-02T15:04:05.000Z"

// printedFormat is how times are printed.
const printedFormat = "2006-01-02T15:04:05.000-07:00"

// prefix is what stands before the bar.
func (s *PrintSpec) prefix() string { return strconv.Itoa(s.ID) + "|" + s.Name }

// appendColoured appends the prefix in a colour of the instance's, and a red bar
// before what was written to the standard error.
func (s *PrintSpec) appendColoured(dst []byte, width int) []byte {
	const first, colours = 32, 5 // green to cyan, of ANSI
	bar := "|"
	if s.Stream == streamErr {
		bar = "\x1b[31m|\x1b[0m"
	}
	return fmt.Appendf(dst, "\x1b[%dm%-*s\x1b[0m %s ", first+s.ID%colours, width, s.prefix(), bar)
}
