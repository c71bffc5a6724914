package dispatch

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// tries is how many places of the list the program looks at for one connection. A slot
// whose socket is just being flushed is absent for some microseconds, and may have
// several places in a row; so many absent in a row mean that something else is wrong,
// and the kernel's own hash takes over.
const tries = 8

// Values of the kernel's interface that asm does not name.
const (
	skPass         = 1    // SK_PASS: keep the connection
	bpfFetch       = 0x01 // BPF_FETCH: the atomic operation returns the old value
	fromNetwork    = 1    // BPF_HDR_START_NET: offsets count from the IP header
	offEthProtocol = 20   // struct sk_reuseport_md: eth_protocol, in network byte order
	offMigrating   = 48   // and migrating_sk
)

// atomicOp emits an atomic operation that returns the old value in src.
//
// In cilium/ebpf v0.22.0 Instruction.Marshal takes the immediate from Constant
// before it has moved the operation there, so that FetchAdd becomes a plain add
// and Xchg too, without an error. Hence Constant is set here, and checkFetch
// looks at the result.
func atomicOp(op asm.AtomicOp, dst, src asm.Register, offset int16) asm.Instruction {
	ins := op.Mem(dst, src, asm.DWord, offset)
	ins.Constant = int64(op >> 8)
	return ins
}

// Labels of the program, and the register that holds the address of the control page
// all the time.
const (
	address, mix, deal, pass = "address", "mix", "deal", "pass"
	once                     = "once"
	state                    = asm.R7
)

// instructions is the program: which socket gets this connection. It runs for a
// new connection (at its SYN), and for one that is moved when its listener stops.
//
//	if (control.probes && !md.migrating_sk)
//		entry = control.probe[source port % 16]
//		if ((entry & 0xffff) == source port)
//			select((entry >> 16) - 1), done if it is there
//	if (control.once && (slot = xchg(&control.once, 0)))
//		select(slot - 1), done if it is there
//	(with hash: see byAddress)
//	head = control.head                              // bank and length in one load
//	for (try = 0; try < 8; try++)
//		slot = bank[fetch_add(&control.dealt, 1) % length]
//		control.shares[slot]++
//		select(slot), done if it is there
//	return SK_PASS                                   // the kernel's hash chooses
func instructions(sockets, control int, hash bool) asm.Instructions {
	const length, bank = asm.R8, asm.R9
	first := deal
	if hash {
		first = address
	}
	sel := func(next string) asm.Instructions { // the slot is in R1
		return asm.Instructions{
			asm.StoreMem(asm.RFP, -4, asm.R1, asm.Word),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.LoadMapPtr(asm.R2, sockets),
			asm.Mov.Reg(asm.R3, asm.RFP),
			asm.Add.Imm(asm.R3, -4),
			asm.Mov.Imm(asm.R4, 0),
			asm.FnSkSelectReuseport.Call(),
			asm.JEq.Imm(asm.R0, 0, pass),
			asm.Ja.Label(next),
		}
	}
	label := func(try int) string { return fmt.Sprintf("try%d", try) }

	prog := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMapValue(state, control, 0),
		asm.LoadMem(asm.R1, state, offProbes, asm.DWord),
		asm.JEq.Imm(asm.R1, 0, once),
	}
	prog = append(prog, byPort()...)
	prog = append(prog, sel(once)...)
	prog = append(prog,
		asm.LoadMem(asm.R1, state, offOnce, asm.DWord).WithSymbol(once),
		asm.JEq.Imm(asm.R1, 0, first),
		asm.Mov.Imm(asm.R1, 0),
		atomicOp(asm.Xchg, state, asm.R1, offOnce),
		asm.JEq.Imm(asm.R1, 0, first),
		asm.Sub.Imm(asm.R1, 1),
	)
	prog = append(prog, sel(first)...)
	if hash {
		prog = append(prog, byAddress()...)
		prog = append(prog, count()...)
		prog = append(prog, sel(deal)...)
	}
	prog = append(prog,
		asm.LoadMem(length, state, offHead, asm.DWord).WithSymbol(deal),
		asm.Mov.Reg(bank, length),
		asm.RSh.Imm(bank, 32),
		asm.Mov.Reg32(length, length),
		asm.JEq.Imm(length, 0, pass),
		asm.JGE.Imm(bank, banks, pass),
		asm.LSh.Imm(bank, 8),
		asm.Add.Imm(bank, offBanks),
		asm.Add.Reg(bank, state),
	)
	for try := range tries {
		prog = append(prog,
			asm.Mov.Imm(asm.R1, 1).WithSymbol(label(try)),
			atomicOp(asm.FetchAdd, state, asm.R1, offDealt),
			asm.Mod.Reg(asm.R1, length),
			asm.And.Imm(asm.R1, MaxSlots-1), // for the verifier; length is at most MaxSlots
			asm.Mov.Reg(asm.R2, bank),
			asm.Add.Reg(asm.R2, asm.R1),
			asm.LoadMem(asm.R1, asm.R2, 0, asm.Byte),
		)
		prog = append(prog, count()...)
		next := pass
		if try+1 < tries {
			next = label(try + 1)
		}
		prog = append(prog, sel(next)...)
	}
	return append(prog,
		asm.Mov.Imm(asm.R0, skPass).WithSymbol(pass),
		asm.Return(),
	)
}

// byPort puts the slot into R1 that the connections from the client's port are steered
// to, and goes on at once if there is none. The packet begins with the TCP header here.
func byPort() asm.Instructions {
	const at = int16(-8) // of the port, on the stack; -4 is taken
	return asm.Instructions{
		asm.LoadMem(asm.R1, asm.R6, offMigrating, asm.DWord),
		asm.JNE.Imm(asm.R1, 0, once),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, int32(at)),
		asm.Mov.Imm(asm.R4, 2),
		asm.FnSkbLoadBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, once),
		asm.LoadMem(asm.R1, asm.RFP, at, asm.Half),
		asm.HostTo(asm.BE, asm.R1, asm.Half),
		asm.Mov.Reg(asm.R2, asm.R1),
		asm.And.Imm(asm.R2, int32(len(control{}.probe)-1)),
		asm.LSh.Imm(asm.R2, 3),
		asm.Add.Reg(asm.R2, state),
		asm.LoadMem(asm.R3, asm.R2, offProbe, asm.DWord),
		asm.Mov.Reg(asm.R2, asm.R3),
		asm.And.Imm(asm.R2, 0xffff),
		asm.JNE.Reg(asm.R2, asm.R1, once),
		asm.Mov.Reg(asm.R1, asm.R3),
		asm.RSh.Imm(asm.R1, 16),
		asm.JEq.Imm(asm.R1, 0, once),
		asm.Sub.Imm(asm.R1, 1),
	}
}

// count adds one to the share of the slot in R1.
func count() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R2, asm.R1),
		asm.LSh.Imm(asm.R2, 3),
		asm.Add.Reg(asm.R2, state),
		asm.Mov.Imm(asm.R3, 1),
		asm.AddAtomic.Mem(asm.R2, asm.R3, asm.DWord, offShares),
	}
}

// byAddress puts the slot for the client's address into R1. What is not to be told
// from the packet is dealt in turn: a connection that is moved may have none.
//
//	if (md.migrating_sk) goto deal
//	address = source in the IP header, for IPv4 as ::ffff:a.b.c.d
//	slot = tables[control.table - 1][hash(address) % Buckets]
func byAddress() asm.Instructions {
	const at = int16(-24) // of the address, on the stack; -4 is taken
	const ipv4, ipv6 = 0x0800, 0x86dd
	load := func(offset int32, to int16, length int32) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.Mov.Imm(asm.R2, offset),
			asm.Mov.Reg(asm.R3, asm.RFP),
			asm.Add.Imm(asm.R3, int32(to)),
			asm.Mov.Imm(asm.R4, length),
			asm.Mov.Imm(asm.R5, fromNetwork),
			asm.FnSkbLoadBytesRelative.Call(),
			asm.JNE.Imm(asm.R0, 0, deal),
		}
	}
	prog := asm.Instructions{
		asm.LoadMem(asm.R1, asm.R6, offMigrating, asm.DWord).WithSymbol(address),
		asm.JNE.Imm(asm.R1, 0, deal),
		asm.LoadMem(asm.R1, asm.R6, offEthProtocol, asm.Word),
		asm.JEq.Imm(asm.R1, network(ipv4), "ipv4"),
		asm.JNE.Imm(asm.R1, network(ipv6), deal),
	}
	prog = append(prog, load(8, at, 16)...)
	prog = append(prog,
		asm.Ja.Label(mix),
		asm.Mov.Imm(asm.R1, 0).WithSymbol("ipv4"),
		asm.StoreMem(asm.RFP, at, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R1, 0xffff),
		asm.HostTo(asm.BE, asm.R1, asm.Word),
		asm.StoreMem(asm.RFP, at+8, asm.R1, asm.Word),
	)
	prog = append(prog, load(12, at+12, 4)...)
	prog = append(prog, asm.Mov.Imm(asm.R1, 0).WithSymbol(mix))
	stir := func(factor uint32, shift int32) {
		prog = append(prog,
			asm.Mul.Imm32(asm.R1, int32(factor)),
			asm.Mov.Reg32(asm.R2, asm.R1),
			asm.RSh.Imm32(asm.R2, shift),
			asm.Xor.Reg32(asm.R1, asm.R2),
		)
	}
	for word := range int16(4) {
		prog = append(prog, asm.LoadMem(asm.R2, asm.RFP, at+4*word, asm.Word), asm.Xor.Reg32(asm.R1, asm.R2))
		stir(0x9e3779b1, 15) // 2^32 divided by the golden ratio
	}
	// Neighbours differ in the last byte, which may be the highest of its word: only
	// these, the last steps of MurmurHash3, carry it to all bits.
	stir(0x85ebca6b, 13)
	stir(0xc2b2ae35, 16)
	return append(prog,
		asm.And.Imm(asm.R1, Buckets-1),
		asm.LoadMem(asm.R2, state, offTable, asm.DWord),
		asm.JEq.Imm(asm.R2, 0, deal),
		asm.Sub.Imm(asm.R2, 1),
		asm.JGE.Imm(asm.R2, tableBanks, deal),
		asm.LSh.Imm(asm.R2, bucketBits),
		asm.Add.Imm(asm.R2, offTables),
		asm.Add.Reg(asm.R2, asm.R1),
		asm.Add.Reg(asm.R2, state),
		asm.LoadMem(asm.R1, asm.R2, 0, asm.Byte),
	)
}

// network returns a number as the kernel shows it to a program that is written in
// network byte order.
func network(n uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n)))
}

// checkFetch returns an error unless those atomic operations of the program whose
// result is used, as the kernel gets them, return the old value. Without that the program would
// load and run, and one socket would get every connection. The byte order does
// not matter for that.
func checkFetch(prog asm.Instructions) error {
	var buf bytes.Buffer
	if err := prog.Marshal(&buf, binary.LittleEndian); err != nil {
		return fmt.Errorf("encode dispatch program: %w", err)
	}
	const storeAtomic = 0xdb // BPF_STX | BPF_ATOMIC | BPF_DW
	fetching := 0
	for raw := buf.Bytes(); len(raw) >= asm.InstructionSize; raw = raw[asm.InstructionSize:] {
		if raw[0] != storeAtomic {
			continue
		}
		if imm := binary.LittleEndian.Uint32(raw[4:8]); imm&bpfFetch != 0 {
			fetching++
		}
	}
	if want := 1 + tries; fetching != want {
		return fmt.Errorf("encode dispatch program: %d atomic operations fetch, want %d", fetching, want)
	}
	return nil
}

// load loads the program that deals to the sockets.
func load(sockets, control *ebpf.Map, hash bool) (*ebpf.Program, error) {
	prog := instructions(sockets.FD(), control.FD(), hash)
	if err := checkFetch(prog); err != nil {
		return nil, err
	}
	name := "pace_rr"
	if hash {
		name = "pace_iphash"
	}
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         name,
		Type:         ebpf.SkReuseport,
		AttachType:   ebpf.AttachSkReuseportSelectOrMigrate,
		License:      "MIT",
		Instructions: prog,
	})
}
