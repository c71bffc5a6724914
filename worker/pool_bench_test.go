package worker

import (
	"context"
	"sync/atomic"
	"testing"
)

func BenchmarkPoolSubmit(b *testing.B) {
	p, err := NewPool()
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	task := func(context.Context) error { n.Add(1); return nil }
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Submit(b.Context(), task); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkPoolRun(b *testing.B) {
	p, err := NewPool()
	if err != nil {
		b.Fatal(err)
	}
	task := func(context.Context) (int, error) { return 1, nil }
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Run(b.Context(), p, task); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkPoolSubmitters(b *testing.B) {
	p, err := NewPool()
	if err != nil {
		b.Fatal(err)
	}
	task := func(context.Context) error { return nil }
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := p.Submit(b.Context(), task); err != nil {
				b.Error(err)
			}
		}
	})
	if err := p.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
