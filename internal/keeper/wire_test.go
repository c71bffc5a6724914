package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// feed cuts a stream into frames as a link does, with reads of the given lengths
// over and over.
func feed(stream []byte, lengths []byte) (frames []frame, err error) {
	var s splitter
	for i := 0; len(stream) > 0; i++ {
		space := s.space()
		n := min(len(space), len(stream))
		if len(lengths) > 0 {
			n = min(n, int(lengths[i%len(lengths)])+1)
		}
		copy(space, stream[:n])
		s.added(n)
		stream = stream[n:]
		for {
			f, ok, err := s.next()
			if err != nil {
				return frames, err
			}
			if !ok {
				break
			}
			f.payload = bytes.Clone(f.payload)
			frames = append(frames, f)
		}
	}
	return frames, nil
}

func TestFramesSurviveAnyFragmentation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want []frame
		for range rapid.IntRange(0, 3).Draw(t, "frames") {
			f := frame{
				kind: kind(rapid.Byte().Draw(t, "kind")), id: rapid.Uint32().Draw(t, "id"),
				payload: make([]byte, rapid.SampledFrom([]int{0, 1, 100, chunkSize, baseSize + 1}).Draw(t, "size")),
			}
			for i := range f.payload {
				f.payload[i] = byte(i * 7)
			}
			stream = append(stream, end(append(begin(nil, f.kind, 0, f.id), f.payload...))...)
			want = append(want, f)
		}
		got, err := feed(stream, rapid.SliceOf(rapid.Byte()).Draw(t, "reads"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, want, func(a, b frame) bool {
			return a.kind == b.kind && a.id == b.id && bytes.Equal(a.payload, b.payload)
		}) {
			t.Fatalf("got %d frames, want %d", len(got), len(want))
		}
	})
}

func TestDescriptorsStayWithTheirFrame(t *testing.T) {
	t.Parallel()
	stream := slices.Concat(end(begin(nil, 1, 2, 1)), end(begin(nil, 2, 0, 2)), end(begin(nil, 3, 3, 3)), end(begin(nil, 4, 1, 4)))
	s := splitter{buf: stream, batches: []batch{{fds: []int{5, 6}}, {fds: []int{7}, short: true}, {fds: []int{8, 9}}}}
	for i, want := range []frame{{fds: []int{5, 6}}, {}, {fds: []int{7}, short: true}} {
		f, ok, err := s.next()
		if !ok || err != nil || !slices.Equal(f.fds, want.fds) || f.short != want.short {
			t.Errorf("frame %d: got %+v %t %v, want %+v", i, f, ok, err, want)
		}
	}
	// More than was announced: nothing can be trusted any more, and nothing leaks.
	if f, ok, err := s.next(); !errors.Is(err, errFrame) || ok || len(s.batches) != 1 {
		t.Errorf("got %+v %t %v %v", f, ok, err, s.batches)
	}
}

func someSpawn(t *rapid.T) Spawn {
	text := rapid.StringN(0, 20, -1)
	file := rapid.SampledFrom([]*os.File{nil, os.Stdin, os.Stdout})
	note := rapid.SampledFrom([][]byte{nil, {}, []byte("note")})
	s := Spawn{
		Key: text.Draw(t, "key"), Path: text.Draw(t, "path"), Dir: text.Draw(t, "dir"),
		Argv: rapid.SliceOf(text).Draw(t, "argv"), Env: rapid.SliceOf(text).Draw(t, "env"),
		Files:    rapid.SliceOf(file).Draw(t, "files"),
		CgroupFD: file.Draw(t, "cgroup"), Trap: text.Draw(t, "trap"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "keep") {
		s.Keep = append(s.Keep, Named{Name: text.Draw(t, "name"), Note: note.Draw(t, "note"), File: file.Draw(t, "file")})
	}
	if rapid.Bool().Draw(t, "credential") {
		s.Credential = &Credential{
			UID: rapid.Uint32().Draw(t, "uid"), GID: rapid.Uint32().Draw(t, "gid"),
			Groups: rapid.SliceOf(rapid.Uint32()).Draw(t, "groups"),
		}
	}
	return s
}

func TestSpawnIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := someSpawn(t)
		b, files := putSpawn(nil, want)
		p := payload{b: b}
		r, err := p.spawn(len(files))
		if err != nil {
			t.Fatal(err)
		}
		file := func(index int) *os.File {
			if index == none {
				return nil
			}
			return files[index]
		}
		got := Spawn{Key: r.key, Path: r.path, Dir: r.dir, Argv: r.argv, Env: r.env, Credential: r.credential, CgroupFD: file(r.cgroup), Trap: r.trap}
		for _, i := range r.files {
			got.Files = append(got.Files, file(i))
		}
		for _, k := range r.keep {
			got.Keep = append(got.Keep, Named{Name: k.name, Note: k.note, File: file(k.file)})
		}
		if len(want.Files) == 0 {
			want.Files = nil
		}
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b *os.File) bool { return a == b })); d != "" {
			t.Fatalf("want, got: %s", d)
		}
		if _, err := (&payload{b: b}).spawn(len(files) + 1); err == nil {
			t.Fatal("a descriptor too many was not noticed")
		}
		if _, err := (&payload{b: append(b, 0)}).spawn(len(files)); err == nil {
			t.Fatal("a byte too many was not noticed")
		}
	})
}

func TestProcessIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		moment := rapid.Map(rapid.Int64(), func(n int64) time.Time { return time.Unix(0, n) })
		want := Process{
			Key: rapid.String().Draw(t, "key"), PID: rapid.Int().Draw(t, "pid"), Started: moment.Draw(t, "started"),
			StartTicks: rapid.Uint64().Draw(t, "ticks"), Gone: rapid.Bool().Draw(t, "gone"),
		}
		if rapid.Bool().Draw(t, "exited") {
			want.Exit = &Exit{
				Key: want.Key, Status: syscall.WaitStatus(rapid.Uint32().Draw(t, "status")), At: moment.Draw(t, "at"),
				Left: rapid.Int().Draw(t, "left"), OOM: rapid.Bool().Draw(t, "oom"),
			}
		}
		p := payload{b: putProcess(nil, want)}
		if got := p.process(); p.done() != nil || cmp.Diff(want, got) != "" {
			t.Fatalf("%v, want, got: %s", p.done(), cmp.Diff(want, got))
		}
	})
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	for _, want := range []error{
		nil, ErrGone, ErrExists, ErrAlive, ErrUnknownRequest, fmt.Errorf("wrapped: %w", ErrGone),
		fmt.Errorf("use x: %w", syscall.ENOENT), &SpawnError{Step: StepDir, Path: "/x", Errno: syscall.EACCES},
		errors.New("anything"),
	} {
		p := payload{b: putError(nil, want)}
		got := p.error()
		if p.done() != nil || (got == nil) != (want == nil) {
			t.Errorf("got %v, want %v", got, want)
			continue
		}
		for _, is := range []error{ErrGone, ErrExists, ErrAlive, ErrUnknownRequest, syscall.ENOENT, syscall.EACCES} {
			if errors.Is(got, is) != errors.Is(want, is) {
				t.Errorf("got %v, want %v: not the same %v", got, want, is)
			}
		}
		if _, ok := errors.AsType[*SpawnError](want); ok {
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		}
		if _, sentinel := got.(*remoteError); sentinel && got.Error() != want.Error() { //nolint:errorlint // the very type
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// What a daemon sends, a keeper survives.
func FuzzFrames(f *testing.F) {
	body, files := putSpawn(nil, Spawn{Key: "1.1", Path: "/bin/true", Argv: []string{"true"}, Env: []string{"A=b"}, Keep: []Named{{Name: "x"}}})
	f.Add(end(append(begin(nil, kindSpawn, len(files), 1), body...)), []byte{3})
	f.Add(end(putSignal(begin(nil, kindSignal, 0, 2), "1.1", syscall.SIGTERM, Tree)), []byte{0})
	f.Add(end(putStrings(begin(nil, kindDrop, 0, 3), []string{"a", "b/"})), []byte{255})
	f.Add([]byte{255, 255, 255, 255, 1, 0, 0, 0, 0, 0}, []byte{})
	f.Fuzz(func(t *testing.T, stream, lengths []byte) {
		whole, wholeErr := feed(stream, nil)
		parts, partsErr := feed(stream, lengths)
		if len(whole) != len(parts) || (wholeErr == nil) != (partsErr == nil) {
			t.Fatalf("%d frames, %v; in parts %d frames, %v", len(whole), wholeErr, len(parts), partsErr)
		}
		for _, f := range whole {
			for _, fds := range []int{0, 1, maxFiles} {
				read(f, fds)
			}
		}
	})
}

// read reads a frame as everything that it can be.
func read(f frame, fds int) {
	with := func() *payload { return &payload{b: f.payload} }
	if s, err := with().spawn(fds); err == nil {
		for _, i := range append(slices.Clone(s.files), s.cgroup) {
			if i < none || i >= fds {
				panic("descriptor out of range")
			}
		}
	}
	_, _ = with().keep(fds)
	_, _, _, _ = with().signal()
	_ = with().trap()
	_ = with().strings()
	_ = with().error()
	_ = with().process()
	_ = with().exit()
	_, _ = with().hello()
}
