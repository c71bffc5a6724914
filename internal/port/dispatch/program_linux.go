package dispatch

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// tries is how many slots the program looks at for one connection. A slot whose
// socket is just being flushed is absent for some microseconds; four absent in a
// row means that something else is wrong, and the kernel's own hash takes over.
const tries = 4

// Values of the kernel's interface that asm does not name.
const (
	skPass   = 1    // SK_PASS: keep the connection
	bpfFetch = 0x01 // BPF_FETCH: the atomic operation returns the old value
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

// instructions is the program: which socket gets this connection. It runs for a
// new connection (at its SYN), and for one that is moved when its listener stops.
//
//	if (control.once && (slot = xchg(&control.once, 0)))
//		select(slot - 1), done if it is there
//	head = control.head                              // bank and length in one load
//	for (try = 0; try < 4; try++)
//		slot = bank[fetch_add(&control.dealt, 1) % length]
//		control.shares[slot]++
//		select(slot), done if it is there
//	return SK_PASS                                   // the kernel's hash chooses
func instructions(sockets, control int) asm.Instructions {
	const (
		state, deal, pass = asm.R7, "deal", "pass"
		length, bank      = asm.R8, asm.R9
	)
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
		asm.LoadMem(asm.R1, state, offOnce, asm.DWord),
		asm.JEq.Imm(asm.R1, 0, deal),
		asm.Mov.Imm(asm.R1, 0),
		atomicOp(asm.Xchg, state, asm.R1, offOnce),
		asm.JEq.Imm(asm.R1, 0, deal),
		asm.Sub.Imm(asm.R1, 1),
	}
	prog = append(prog, sel(deal)...)
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
			asm.Mov.Reg(asm.R2, asm.R1),
			asm.LSh.Imm(asm.R2, 3),
			asm.Add.Reg(asm.R2, state),
			asm.Mov.Imm(asm.R3, 1),
			asm.AddAtomic.Mem(asm.R2, asm.R3, asm.DWord, offShares),
		)
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
func load(sockets, control *ebpf.Map) (*ebpf.Program, error) {
	prog := instructions(sockets.FD(), control.FD())
	if err := checkFetch(prog); err != nil {
		return nil, err
	}
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "pace_rr",
		Type:         ebpf.SkReuseport,
		AttachType:   ebpf.AttachSkReuseportSelectOrMigrate,
		License:      "MIT",
		Instructions: prog,
	})
}
