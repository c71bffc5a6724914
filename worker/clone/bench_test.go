package clone_test

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"syscall"
	"testing"
	"time"

	"paceline/worker/clone"
)

// The values that the benchmarks copy.

type address struct {
	Street, City string
	Zip          int
}

type person struct {
	ID       int
	Name     string
	Email    string
	Born     time.Time
	Scores   []float64
	Tags     []string
	Home     address
	Work     *address
	Settings map[string]string
}

func people(n int) []person {
	list := make([]person, n)
	for i := range list {
		list[i] = person{
			ID: i, Name: fmt.Sprint("name ", i), Email: fmt.Sprint("user", i, "@example.com"),
			Born:   time.UnixMilli(int64(i) * 1e9).UTC(),
			Scores: []float64{1.5, 2.5, float64(i)}, Tags: []string{"a", "b", "c"},
			Home: address{"Long Street 1", "Town", 12345}, Work: &address{"Short Street 2", "City", 54321},
			Settings: map[string]string{"theme": "dark", "language": "en"},
		}
	}
	return list
}

func tree(n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = map[string]any{
			"id": float64(i), "name": fmt.Sprint("name ", i), "active": i%2 == 0,
			"tags": []any{"a", "b", "c"}, "home": map[string]any{"city": "Town", "zip": 12345.0},
		}
	}
	return list
}

// gobbing is a pair of encoder and decoder that know the types already, which is
// gob at its best: a stream between two that stay.
func gobbing(b *testing.B, v, to any, fresh func() any) {
	var stream bytes.Buffer
	encoder, decoder := gob.NewEncoder(&stream), gob.NewDecoder(&stream)
	if err := encoder.Encode(v); err != nil {
		b.Fatal(err)
	}
	if err := decoder.Decode(to); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	defer spent(b)()
	for b.Loop() {
		if err := encoder.Encode(v); err != nil {
			b.Fatal(err)
		}
		if err := decoder.Decode(fresh()); err != nil {
			b.Fatal(err)
		}
	}
}

// spent reports the processor time of each round, collecting garbage included:
// what time alone does not tell on a machine that has other things to do.
func spent(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

func cloning[T any](b *testing.B, v T) {
	b.ReportAllocs()
	defer spent(b)()
	for b.Loop() {
		if _, err := clone.Of(v); err != nil {
			b.Fatal(err)
		}
	}
}

func wiring[T any](b *testing.B, v T) { wiringBy(b, clone.Options{}, v) }

func wiringBy[T any](b *testing.B, o clone.Options, v T) {
	b.ReportAllocs()
	var out []byte
	_, tree := any(v).([]any)
	defer spent(b)()
	for b.Loop() {
		var err error
		if out, err = o.Append(out[:0], v); err != nil {
			b.Fatal(err)
		}
		if tree {
			_, err = clone.Unmarshal(out)
		} else {
			_, err = clone.UnmarshalAs[T](out)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStructs(b *testing.B) {
	v := people(100)
	b.Run("clone", func(b *testing.B) { cloning(b, v) })
	b.Run("wire", func(b *testing.B) { wiring(b, v) })
	b.Run("gob", func(b *testing.B) { gobbing(b, v, new([]person), func() any { return new([]person) }) })
}

func BenchmarkOneStruct(b *testing.B) {
	v := people(1)[0]
	b.Run("clone", func(b *testing.B) { cloning(b, v) })
	b.Run("wire", func(b *testing.B) { wiring(b, v) })
	b.Run("gob", func(b *testing.B) { gobbing(b, v, new(person), func() any { return new(person) }) })
}

func BenchmarkTree(b *testing.B) {
	gob.Register(map[string]any{})
	gob.Register([]any{})
	v := tree(100)
	b.Run("clone", func(b *testing.B) { cloning(b, v) })
	b.Run("wire", func(b *testing.B) { wiring(b, v) })
	b.Run("gob", func(b *testing.B) { gobbing(b, v, new([]any), func() any { return new([]any) }) })
}

func BenchmarkNumbers(b *testing.B) {
	v := make([]float64, 10_000)
	for i := range v {
		v[i] = float64(i) * 1.1
	}
	b.Run("clone", func(b *testing.B) { cloning(b, v) })
	b.Run("wire", func(b *testing.B) { wiring(b, v) })
	b.Run("gob", func(b *testing.B) { gobbing(b, v, new([]float64), func() any { return new([]float64) }) })
}

func BenchmarkBytes(b *testing.B) {
	v := make([]byte, 1<<16)
	b.Run("clone", func(b *testing.B) { cloning(b, v) })
	b.Run("wire", func(b *testing.B) { wiring(b, v) })
	b.Run("gob", func(b *testing.B) { gobbing(b, v, new([]byte), func() any { return new([]byte) }) })
}

func BenchmarkStringsMap(b *testing.B) {
	v := map[string]int{}
	for i := range 1000 {
		v[fmt.Sprint("key ", i)] = i
	}
	b.Run("clone", func(b *testing.B) { cloning(b, v) })
	b.Run("wire", func(b *testing.B) { wiring(b, v) })
	b.Run("sorted", func(b *testing.B) { wiringBy(b, clone.Options{Sorted: true}, v) })
	b.Run("gob", func(b *testing.B) { gobbing(b, v, new(map[string]int), func() any { return new(map[string]int) }) })
}
