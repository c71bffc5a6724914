package clone_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/big"
	"os"
	"os/exec"
	"reflect"
	"testing"
	"time"

	"paceline/worker/clone"

	"golang.org/x/sys/unix"
)

// A child process of Node with serialization: 'advanced' gives back what it is
// sent, by way of both its reader and its writer.
func TestAdvancedIPC(t *testing.T) {
	var m clone.Map
	m.Set(1.0, "one")
	shared := []any{"shared"}
	in := map[string]any{
		"bytes": []byte("bytes"), "floats": []float64{1.5, 2.5}, "big": big.NewInt(1 << 60), "map": &m, "set": clone.NewSet("a", 1.0),
		"at": time.UnixMilli(1700000000123).UTC(), "undefined": clone.Undefined{}, "list": []any{shared, shared, "€", -0.5},
		"view": &clone.View{Kind: clone.DataView, Buffer: clone.NewArrayBuffer([]byte{1, 2, 3}), ByteLength: 3},
	}
	eachNode(t, func(t *testing.T, node string) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
		var stderr bytes.Buffer
		cmd := exec.Command(node, "-e", `process.once('message', (m) => process.send(m, () => process.disconnect()))`)
		cmd.Env = append(os.Environ(), "NODE_CHANNEL_FD=3", "NODE_CHANNEL_SERIALIZATION_MODE=advanced")
		cmd.ExtraFiles, cmd.Stderr = []*os.File{theirs}, &stderr
		err = cmd.Start()
		theirs.Close()
		if err != nil {
			ours.Close()
			t.Fatal(err)
		}
		defer func() {
			ours.Close() // ends it, whatever it waits for
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v: %s", err, &stderr)
			}
		}()
		// A frame is its length in four bytes, the highest first, and the value.
		data, err := clone.Append(make([]byte, 4), in)
		if err != nil {
			t.Fatal(err)
		}
		binary.BigEndian.PutUint32(data, uint32(len(data)-4))
		if _, err := ours.Write(data); err != nil {
			t.Fatal(err)
		}
		var size [4]byte
		if _, err := io.ReadFull(ours, size[:]); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(ours, answer); err != nil {
			t.Fatal(err)
		}
		got, err := clone.Options{Host: clone.HostNodeIPC}.Unmarshal(answer)
		if err != nil || !reflect.DeepEqual(got, any(in)) {
			t.Errorf("got %#v, %v\nwant %#v", got, err, in)
		}
	})
}
