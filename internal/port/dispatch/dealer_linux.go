package dispatch

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// control is what the program and we share: the value of a one-element array map,
// mapped into memory. It outlives the daemon with the map.
type control struct {
	head   atomic.Uint64    // bank<<32 | length of the list in it: one store publishes a list
	dealt  atomic.Uint64    // how many slots have been looked at so far
	once   atomic.Uint64    // slot+1: it gets the next connection, and then this is 0 again
	table  atomic.Uint64    // bank+1 of the table that NewIPHash's program looks into; 0: none
	probes atomic.Uint64    // how many entries of probe are in use: 0 spares the program a look
	_      [3]uint64        // keeps the words below off the cache line that each connection writes
	wanted [4]atomic.Uint64 // one bit per slot: kept for the next daemon, unknown to the program
	// probe is for connections that are meant for one slot: those from a port p of a client
	// are at p modulo its length, as slot+1 and then p; 0: none.
	probe  [16]atomic.Uint64
	steers atomic.Uint64 // 1 if the program knows the two above: an earlier release's does not
	_      [3]uint64
	lists  [banks][MaxSlots]uint8
	shares [MaxSlots]atomic.Uint64 // how many connections each slot was dealt
}

// hashed is the control page of NewIPHash.
type hashed struct {
	control
	tables [tableBanks][Buckets]uint8 // the slot of each bucket
}

const (
	banks      = 15
	tableBanks = 4
	offHead    = int16(unsafe.Offsetof(control{}.head))
	offDealt   = int16(unsafe.Offsetof(control{}.dealt))
	offOnce    = int16(unsafe.Offsetof(control{}.once))
	offShares  = int16(unsafe.Offsetof(control{}.shares))
	offBanks   = int32(unsafe.Offsetof(control{}.lists))
	offProbes  = int16(unsafe.Offsetof(control{}.probes))
	offProbe   = int16(unsafe.Offsetof(control{}.probe))
	offTable   = int16(unsafe.Offsetof(control{}.table))
	offTables  = int32(unsafe.Offsetof(hashed{}.tables))
	size       = int(unsafe.Sizeof(control{}))
	sizeHash   = int(unsafe.Sizeof(hashed{}))
)

// Dealer deals the connections of one group of SO_REUSEPORT sockets out, exactly in
// turn or by their clients' addresses. It is a program attached to the group, and
// two maps: the sockets by slot, and the control page. Program and maps work on when
// this process is gone, as long as a socket of the group is open.
//
// One goroutine may use it at a time.
type Dealer struct {
	program *ebpf.Program // nil after Restore: the group in the kernel holds it
	sockets *ebpf.Map
	pages   *ebpf.Map
	memory  []byte
	control *control
	hashed  *hashed // nil: it deals in turn
}

// NewRoundRobin makes the maps and loads the program that deals in turn. It takes
// some 0.2 ms. Errors: ErrUnsupported, with the reason.
func NewRoundRobin() (*Dealer, error) { return newDealer(size) }

// NewIPHash does the same with a program that deals by the hash of the client's
// address, from the table of Assign. Before the first Assign, and for connections
// that are moved, it deals in turn.
func NewIPHash() (*Dealer, error) { return newDealer(sizeHash) }

func newDealer(size int) (_ *Dealer, err error) {
	r := new(Dealer)
	defer func() {
		if err != nil {
			_ = r.Close() // the error of the first failure says more
			err = unsupported(err)
		}
	}()
	if r.sockets, err = ebpf.NewMap(&ebpf.MapSpec{ // Linux 4.19
		Name: "pace_sockets", Type: ebpf.ReusePortSockArray, KeySize: 4, ValueSize: 8, MaxEntries: MaxSlots,
	}); err != nil {
		return nil, err
	}
	if r.pages, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "pace_control", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(size), MaxEntries: 1,
		Flags: unix.BPF_F_MMAPABLE, // Linux 5.5
	}); err != nil {
		return nil, err
	}
	if err := r.mapControl(); err != nil {
		return nil, err
	}
	if r.program, err = load(r.sockets, r.pages, r.hashed != nil); err != nil {
		return nil, err
	}
	r.control.steers.Store(1)
	return r, nil
}

// Restore takes up the maps that Files returned in an earlier process. The files
// stay the caller's. Attach is not possible: the group has its program.
func Restore(sockets, control *os.File) (_ *Dealer, err error) {
	r := new(Dealer)
	defer func() {
		if err != nil {
			_ = r.Close() // the error of the first failure says more
		}
	}()
	if r.sockets, err = openMap(sockets, ebpf.ReusePortSockArray, 8); err != nil {
		return nil, err
	}
	if r.pages, err = openMap(control, ebpf.Array, uint32(size), uint32(sizeHash)); err != nil {
		return nil, err
	}
	if err := r.mapControl(); err != nil {
		return nil, err
	}
	return r, nil
}

func openMap(f *os.File, kind ebpf.MapType, valueSizes ...uint32) (*ebpf.Map, error) {
	if f == nil {
		return nil, fmt.Errorf("open %s map: no descriptor", kind)
	}
	fd, err := duplicate(int(f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("open %s map: %w", kind, err)
	}
	m, err := ebpf.NewMapFromFD(fd) // takes fd, also when it fails
	if err != nil {
		return nil, fmt.Errorf("open %s map: %w", kind, err)
	}
	if m.Type() != kind || !slices.Contains(valueSizes, m.ValueSize()) {
		return nil, errors.Join(fmt.Errorf("open %s map: it is %v", kind, m), m.Close())
	}
	return m, nil
}

func (r *Dealer) mapControl() error {
	length := int(r.pages.ValueSize())
	memory, err := unix.Mmap(r.pages.FD(), 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map dispatch control: %w", err)
	}
	r.memory = memory
	if length == sizeHash {
		r.hashed = (*hashed)(unsafe.Pointer(&memory[0]))
		r.control = &r.hashed.control
	} else {
		r.control = (*control)(unsafe.Pointer(&memory[0]))
	}
	return nil
}

// Files returns duplicates of the two maps' descriptors, for Restore.
func (r *Dealer) Files() (sockets, control *os.File, err error) {
	s, err := duplicate(r.sockets.FD())
	if err != nil {
		return nil, nil, fmt.Errorf("duplicate dispatch map: %w", err)
	}
	c, err := duplicate(r.pages.FD())
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("duplicate dispatch map: %w", err), unix.Close(s))
	}
	return os.NewFile(uintptr(s), "dispatch sockets"), os.NewFile(uintptr(c), "dispatch control"), nil
}

// Attach puts the program in charge of the group that the socket founds: it is
// bound with SO_REUSEPORT and does not listen yet.
func (r *Dealer) Attach(socket int) error {
	if r.program == nil {
		return errors.New("attach dispatch program: it belongs to its group already")
	}
	err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_EBPF, r.program.FD())
	if err != nil {
		return fmt.Errorf("attach dispatch program: %w", err)
	}
	return nil
}

// Set gives the slot its socket, which listens in the group, instead of the one
// it had. A socket that stops listening leaves by itself.
func (r *Dealer) Set(slot, socket int) error {
	err := r.sockets.Update(uint32(slot), uint64(socket), ebpf.UpdateAny)
	if err != nil && !errors.Is(err, syscall.EBUSY) { // EBUSY: this socket is in the map already
		return fmt.Errorf("set socket of slot %d: %w", slot, err)
	}
	return nil
}

// Clear takes the slot's socket out. It may be absent.
func (r *Dealer) Clear(slot int) error {
	err := r.sockets.Delete(uint32(slot))
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("clear socket of slot %d: %w", slot, err)
	}
	return nil
}

// Deal publishes which slots get connections, one after the other and then from the
// list's start; the next has the place Dealt, modulo its length. A slot may be there
// several times; there is room for MaxSlots in all. The next connection sees either the old
// list or the new one. An empty list leaves the choice to the kernel's hash over all
// sockets of the group.
func (r *Dealer) Deal(slots []int) {
	// A bank is written again only after 14 other lists were published. A program
	// run that still reads it by then finds slots of one list or the other, byte
	// by byte, and all of them are slots.
	bank := (r.control.head.Load()>>32 + 1) % banks
	list := &r.control.lists[bank]
	for i, slot := range slots {
		list[i] = uint8(slot)
	}
	r.control.head.Store(bank<<32 | uint64(len(slots)))
}

// Hashes reports whether connections are dealt by address: see NewIPHash.
func (r *Dealer) Hashes() bool { return r.hashed != nil }

// Assign publishes which slot gets the clients of which bucket. The slots are those
// of Deal. It does nothing if connections are dealt in turn.
func (r *Dealer) Assign(slots [Buckets]uint8) {
	if r.hashed == nil {
		return
	}
	bank := r.control.table.Load() % tableBanks // the next one: see Deal
	r.hashed.tables[bank] = slots
	r.control.table.Store(bank + 1)
}

// Dealt returns a number that grows with each connection dealt.
func (r *Dealer) Dealt() uint64 { return r.control.dealt.Load() }

// Share returns how many connections the slot was dealt in its turn.
func (r *Dealer) Share(slot int) uint64 { return r.control.shares[slot].Load() }

// Once gives the slot exactly the next connection, in the list or not.
func (r *Dealer) Once(slot int) { r.control.once.Store(uint64(slot) + 1) }

// Waiting reports whether the connection that Once spoke of is still to come.
func (r *Dealer) Waiting() bool { return r.control.once.Load() != 0 }

// Cancel takes Once back if no connection has come.
func (r *Dealer) Cancel() { r.control.once.Store(0) }

// Steer gives the slot the connections from a port, whoever's it is, in the list or not,
// and they count nowhere. The port is taken back with Unsteer. False: it cannot be done, as
// another port has its place, or the group's program is an earlier release's.
func (r *Dealer) Steer(from uint16, slot int) bool {
	if r.control.steers.Load() == 0 {
		return false
	}
	entry := &r.control.probe[int(from)%len(r.control.probe)]
	if entry.Load() != 0 {
		return false
	}
	entry.Store(uint64(slot+1)<<16 | uint64(from))
	r.control.probes.Add(1)
	return true
}

// Unsteer takes back what Steer has done.
func (r *Dealer) Unsteer(from uint16) {
	r.control.probe[int(from)%len(r.control.probe)].Store(0)
	r.control.probes.Add(^uint64(0))
}

// Want remembers beyond the death of this process whether a slot is wanted in
// the list. It changes nothing by itself.
func (r *Dealer) Want(slot int, on bool) {
	word, bit := &r.control.wanted[slot/64], uint64(1)<<(slot%64)
	if on {
		word.Or(bit)
	} else {
		word.And(^bit)
	}
}

// Wanted returns what Want remembered.
func (r *Dealer) Wanted(slot int) bool {
	return r.control.wanted[slot/64].Load()&(1<<(slot%64)) != 0
}

// Close lets the maps and the program go. The group keeps what it needs.
func (r *Dealer) Close() error {
	var errs []error
	if r.memory != nil {
		r.control, r.hashed = nil, nil
		errs = append(errs, unix.Munmap(r.memory))
	}
	for _, m := range []*ebpf.Map{r.pages, r.sockets} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	if r.program != nil {
		errs = append(errs, r.program.Close())
	}
	return errors.Join(errs...)
}

// unsupported says in a user's words why the kernel cannot do it.
func unsupported(err error) error {
	switch {
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%w: no right to load eBPF (needs root or CAP_BPF alone): %w", ErrUnsupported, syscall.EPERM)
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS):
		// SELECT_OR_MIGRATE is of Linux 5.14, CAP_BPF of 5.8.
		return fmt.Errorf("%w: needs Linux 5.14 with eBPF: %w", ErrUnsupported, err)
	default:
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
}

func duplicate(fd int) (int, error) {
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
}
