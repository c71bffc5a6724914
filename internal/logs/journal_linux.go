package logs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"golang.org/x/sys/unix"
)

// Layout of the journal. Everything is written with pwrite: a mapping would end
// in SIGBUS on a full disk. A kill cannot tear a write that stays in one page;
// the intent, which may be larger, has a checksum.
const (
	journalMagic = "pacelog1"
	bootOffset   = 8        // boot id, 36 bytes
	intentOffset = 64       // one intent: length, checksum, body
	slotOffset   = 16 << 10 // slots of slotBytes
	slotBytes    = 32
	stageOffset  = sinkOffset - 8<<10 // whose bytes are in the stage, as an intent of one step
	sinkOffset   = 1 << 20            // what was consumed without going to a file of its own
	sinkBytes    = 4 << 20            // the sink starts again beyond this
	maxSlots     = (stageOffset - slotOffset) / slotBytes
)

// journal remembers, beyond a kill, which pipe wrote last to each file (one slot
// per file) and what one burst that takes several steps is about to do (the
// intent). A nil journal remembers nothing.
type journal struct {
	fd    int
	sink  int64 // where the next consumed bytes go
	owner map[node]uint64
	slot  map[node]int
	free  []int
	next  int  // first slot that was never used
	dirty bool // an intent stands
	buf   []byte
}

// step is one file that an intent is about to extend.
type step struct {
	path  string
	node  node
	size  int64 // before the intent
	width int   // of the prefix of each line; 0: there is none
	json  bool  // each line has become an object
	mid   bool  // size is within a line
}

// intent is a burst of raw bytes that goes to several files, or in a form that
// differs from what is in the pipe. The bytes leave the pipe last, in one system
// call that makes a file (commit, or the sink) as much longer: its size tells how
// many have left.
type intent struct {
	raw    int
	commit int // index in steps; -1: the sink
	sink   int64
	steps  []step
}

// openJournal opens or makes the journal. What a killed pump was about to do is
// undone or completed before it returns.
func openJournal(path string, log func(string, ...any)) (*journal, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log journal %s: %w", path, err)
	}
	j := &journal{fd: fd, owner: map[node]uint64{}, slot: map[node]int{}}
	if err := j.load(log); err != nil {
		return nil, fmt.Errorf("read log journal %s: %w", path, errors.Join(err, unix.Close(fd)))
	}
	return j, nil
}

func (j *journal) load(log func(string, ...any)) error {
	if err := unix.Flock(j.fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	// Pipes do not live longer than the kernel, and after a crash of the machine
	// sizes of files mean nothing.
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	head := append([]byte(journalMagic), bytes.TrimSpace(boot)...)
	old := make([]byte, len(head))
	if n, err := unix.Pread(j.fd, old, 0); err != nil {
		return err
	} else if n < len(old) || !bytes.Equal(head, old) {
		return j.format(head)
	}
	if in, ok := j.readIntent(intentOffset, slotOffset); ok {
		in.recover(j, log)
	}
	j.end()
	if err := j.readSlots(); err != nil {
		return err
	}
	j.sink = sinkOffset
	return unix.Ftruncate(j.fd, sinkOffset)
}

// format makes the journal empty. The head comes last: without it there is no journal.
func (j *journal) format(head []byte) error {
	if err := unix.Ftruncate(j.fd, 0); err != nil {
		return err
	}
	if err := unix.Ftruncate(j.fd, sinkOffset); err != nil {
		return err
	}
	j.sink = sinkOffset
	_, err := unix.Pwrite(j.fd, head, 0)
	return err
}

func (j *journal) readSlots() error {
	table := make([]byte, maxSlots*slotBytes)
	n, err := unix.Pread(j.fd, table, slotOffset)
	if err != nil {
		return err
	}
	for i := range n / slotBytes {
		s := table[i*slotBytes:]
		if owner := binary.LittleEndian.Uint64(s[16:]); owner != 0 {
			k := node{binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[8:])}
			j.owner[k], j.slot[k] = owner, i
			j.next = i + 1
		}
	}
	used := map[int]bool{}
	for _, i := range j.slot {
		used[i] = true
	}
	for i := range j.next {
		if !used[i] {
			j.free = append(j.free, i)
		}
	}
	return nil
}

// ownerOf returns the inode of the pipe that wrote last to a file, 0 if unknown.
func (j *journal) ownerOf(k node) uint64 {
	if j == nil {
		return 0
	}
	return j.owner[k]
}

// own notes that the pipe is about to write to the file.
func (j *journal) own(k node, pipe uint64) {
	if j == nil || j.owner[k] == pipe {
		return
	}
	i, ok := j.slot[k]
	if !ok {
		if i, ok = j.take(); !ok {
			return
		}
		j.slot[k] = i
	}
	j.owner[k] = pipe
	j.writeSlot(i, k, pipe)
}

// take returns an unused slot. There are more than a process may have open files;
// a log without one is as if there were no journal.
func (j *journal) take() (int, bool) {
	if n := len(j.free); n > 0 {
		i := j.free[n-1]
		j.free = j.free[:n-1]
		return i, true
	}
	if j.next < maxSlots {
		j.next++
		return j.next - 1, true
	}
	return 0, false
}

// forget frees the slot of a file that no stream writes to any more.
func (j *journal) forget(k node) {
	if j == nil {
		return
	}
	i, ok := j.slot[k]
	if !ok {
		return
	}
	delete(j.slot, k)
	delete(j.owner, k)
	j.free = append(j.free, i)
	j.writeSlot(i, node{}, 0)
}

// forgetGone frees the slots of files that have no stream. It is called when all
// streams of a former pump have had time to be added.
func (j *journal) forgetGone(inUse func(node) bool) {
	if j == nil {
		return
	}
	for k := range j.slot {
		if !inUse(k) {
			j.forget(k)
		}
	}
}

func (j *journal) writeSlot(i int, k node, pipe uint64) {
	var s [slotBytes]byte
	binary.LittleEndian.PutUint64(s[:], k.dev)
	binary.LittleEndian.PutUint64(s[8:], k.ino)
	binary.LittleEndian.PutUint64(s[16:], pipe)
	// A failing disk costs the guarantee for a kill, not the logs.
	_, _ = unix.Pwrite(j.fd, s[:], slotOffset+int64(i)*slotBytes)
}

// begin notes an intent.
func (j *journal) begin(in *intent) {
	if j == nil {
		return
	}
	in.sink = j.sink
	j.dirty = j.writeIntent(in, intentOffset)
}

// stage notes which file the next bytes in the stage are for.
func (j *journal) stage(f *file) bool {
	return j.writeIntent(&intent{steps: []step{{path: f.path, node: f.node}}}, stageOffset)
}

// staged returns the file that the bytes in the stage are for.
func (j *journal) staged() (step, bool) {
	if j == nil {
		return step{}, false
	}
	in, ok := j.readIntent(stageOffset, sinkOffset)
	if !ok || len(in.steps) != 1 {
		return step{}, false
	}
	return in.steps[0], true
}

func (j *journal) writeIntent(in *intent, at int64) bool {
	b := append(j.buf[:0], make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint64(b, uint64(in.raw))
	b = binary.LittleEndian.AppendUint64(b, uint64(int64(in.commit)))
	b = binary.LittleEndian.AppendUint64(b, uint64(in.sink))
	for _, s := range in.steps {
		b = binary.LittleEndian.AppendUint64(b, s.node.dev)
		b = binary.LittleEndian.AppendUint64(b, s.node.ino)
		b = binary.LittleEndian.AppendUint64(b, uint64(s.size))
		flags := uint16(s.width) << 2
		if s.json {
			flags |= 1
		}
		if s.mid {
			flags |= 2
		}
		b = binary.LittleEndian.AppendUint16(b, flags)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(s.path)))
		b = append(b, s.path...)
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-8))
	binary.LittleEndian.PutUint32(b[4:], crc32.ChecksumIEEE(b[8:]))
	j.buf = b
	_, err := unix.Pwrite(j.fd, b, at)
	return err == nil
}

// end takes the intent back: all its steps are done.
func (j *journal) end() {
	if j == nil {
		return
	}
	var none [4]byte
	_, _ = unix.Pwrite(j.fd, none[:], intentOffset)
	j.dirty = false
	if j.sink > sinkOffset+sinkBytes {
		if unix.Ftruncate(j.fd, sinkOffset) == nil {
			j.sink = sinkOffset
		}
	}
}

// readIntent returns the intent that a killed pump left. One that is not
// complete was never begun.
func (j *journal) readIntent(from, to int64) (intent, bool) {
	b := make([]byte, to-from)
	n, err := unix.Pread(j.fd, b, from)
	if err != nil || n < 8 {
		return intent{}, false
	}
	size, sum := int(binary.LittleEndian.Uint32(b)), binary.LittleEndian.Uint32(b[4:])
	if b = b[8:n]; size < 24 || size > len(b) || crc32.ChecksumIEEE(b[:size]) != sum {
		return intent{}, false
	}
	return decodeIntent(b[:size])
}

func decodeIntent(b []byte) (intent, bool) {
	if len(b) < 24 {
		return intent{}, false
	}
	in := intent{
		raw:    int(binary.LittleEndian.Uint64(b)),
		commit: int(int64(binary.LittleEndian.Uint64(b[8:]))),
		sink:   int64(binary.LittleEndian.Uint64(b[16:])),
	}
	for b = b[24:]; len(b) > 0; {
		if len(b) < 28 {
			return intent{}, false
		}
		s := step{
			node: node{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])},
			size: int64(binary.LittleEndian.Uint64(b[16:])),
		}
		flags, n := binary.LittleEndian.Uint16(b[24:]), int(binary.LittleEndian.Uint16(b[26:]))
		if b = b[28:]; n > len(b) {
			return intent{}, false
		}
		s.width, s.json, s.mid, s.path = int(flags>>2), flags&1 != 0, flags&2 != 0, string(b[:n])
		b = b[n:]
		in.steps = append(in.steps, s)
	}
	return in, in.commit >= -1 && in.commit < len(in.steps) && in.raw >= 0
}
