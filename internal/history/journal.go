package history

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// journalPrefix begins the name of a journal; its number follows.
const journalPrefix = "journal-"

// keepJournals is how many journals stay if no image can be written.
const keepJournals = 4

// maxSecond is far from any that comes to be.
const maxSecond = 1 << 40

// frame is what one Record adds to the journal.
type frame struct {
	first, second int64 // the seconds that it stands for
	at            Instant
	full          bool    // its entries are all that there are
	entries       []entry // otherwise those that have changed
	gone          []Key   // that are missing
}

type entry struct {
	key Key
	row cell
}

const entryBytes = 16 + cellBytes

func (f *frame) encode(b []byte) []byte {
	b = appendInt(b, f.first)
	b = appendInt(b, f.second)
	b = appendInstant(b, f.at)
	full := int64(0)
	if f.full {
		full = 1
	}
	b = appendInt(b, full)
	b = appendInt(b, int64(len(f.entries)))
	for _, e := range f.entries {
		b = append(appendKey(b, e.key), e.row[:]...)
	}
	b = appendInt(b, int64(len(f.gone)))
	for _, k := range f.gone {
		b = appendKey(b, k)
	}
	return b
}

func decodeFrame(content []byte) (f frame, err error) {
	r := reader{b: content}
	f.first, f.second = r.int64(), r.int64()
	f.at = r.instant()
	f.full = r.int64() == 1
	for range r.count(entryBytes) {
		f.entries = append(f.entries, entry{key: r.key(), row: r.cell()})
	}
	for range r.count(16) {
		f.gone = append(f.gone, r.key())
	}
	if f.first > f.second || f.first <= 0 || f.second > maxSecond {
		return f, errDamaged
	}
	return f, r.err
}

func appendInstant(b []byte, at Instant) []byte {
	return appendText(appendInt(appendInt(b, at.Wall.UnixNano()), int64(at.Up)), at.Boot)
}

func (r *reader) instant() Instant {
	return Instant{Wall: time.Unix(0, r.int64()), Up: time.Duration(r.int64()), Boot: r.text()}
}

// journal is the file that frames are appended to. One goroutine uses it.
type journal struct {
	dir    string
	number int
	file   *os.File // nil: it could not be written
	frames int
	began  int64 // the second of its first frame
	buf    []byte
}

// open begins the journal of a number.
func (j *journal) open(number int) error {
	j.number, j.frames = number, 0
	f, err := os.OpenFile(filepath.Join(j.dir, journalPrefix+strconv.Itoa(number)), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(journalMagic); err != nil {
		return errors.Join(err, f.Close())
	}
	j.file = f
	return nil
}

// fresh reports whether the next frame is the first of the file.
func (j *journal) fresh() bool { return j != nil && j.frames == 0 }

func (j *journal) append(f frame) error {
	if j.frames == 0 {
		j.began = f.second
	}
	j.frames++
	if j.file == nil {
		return nil
	}
	j.buf = seal(f.encode(append(j.buf[:0], room[:]...)), 0)
	if _, err := j.file.Write(j.buf); err != nil {
		return errors.Join(err, j.close())
	}
	return nil
}

func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	if err != nil {
		return fmt.Errorf("close history: %w", err)
	}
	return nil
}

// journals lists the numbers of those in a folder, in order.
func journals(dir string) (numbers []int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if text, ok := strings.CutPrefix(e.Name(), journalPrefix); ok {
			if n, err := strconv.Atoi(text); err == nil {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// dropJournals removes those below a number.
func dropJournals(dir string, below int) error {
	numbers, err := journals(dir)
	for _, n := range numbers {
		if n < below {
			err = errors.Join(err, os.Remove(filepath.Join(dir, journalPrefix+strconv.Itoa(n))))
		}
	}
	return err
}

// replay adds the frames of a journal to what the store has.
func (s *Store) replay(r io.Reader) error {
	present := map[Key]cell{}
	return readRecords(r, journalMagic, func(content []byte) error {
		f, err := decodeFrame(content)
		if err != nil {
			return err
		}
		if f.full {
			clear(present)
		}
		for _, e := range f.entries {
			present[e.key] = e.row
		}
		for _, k := range f.gone {
			delete(present, k)
		}
		for k, row := range present {
			sr := s.of(k)
			switch {
			case sr.seen >= f.second: // the image has it
			case sr.seen != f.first-1: // as in Record
				sr.fill(&s.blocks, f.second, f.second, row)
			default:
				sr.fill(&s.blocks, max(f.first, f.second-covered), f.second, row)
			}
		}
		if f.second > s.clock.second {
			s.clock.second, s.clock.recorded = f.second, f.at
		}
		return nil
	})
}

// readFile has a file read; one that is not there is none.
func (s *Store) readFile(name string, read func(io.Reader) error) {
	path := filepath.Join(s.o.Dir, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = errors.Join(read(buffered(f)), f.Close())
	}
	switch {
	case errors.Is(err, errCut) && strings.HasPrefix(name, journalPrefix):
		// Whoever wrote it was killed meanwhile.
	case err != nil:
		s.o.Log("read history %s: %v; what it held from there on is lost, and history goes on without it", path, err)
	}
}
