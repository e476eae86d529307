package audit

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkAppend reports how much longer an append of one record takes than
// writing a line of its length and fsync.
func BenchmarkAppend(b *testing.B) {
	o, _ := at(b.TempDir(), nil)
	o.MaxFile = 1 << 40
	l := mustOpen(b, o)
	mustAppend(b, l, capture(0))
	line := make([]byte, 400)
	f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var bare, whole time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := f.Write(line); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		mustAppend(b, l, capture(1))
		bare += middle.Sub(start)
		whole += time.Since(middle)
	}
	b.ReportMetric(float64(whole)/float64(bare), "x-bare-fsync")
}

// BenchmarkVerify reports the time for a record.
func BenchmarkVerify(b *testing.B) {
	o, _ := at(b.TempDir(), nil)
	l := mustOpen(b, o)
	events := make([]Event, 5000)
	for i := range events {
		events[i] = capture(i)
	}
	mustAppend(b, l, events...)
	for b.Loop() {
		verify(b, o.Dir, VerifyOptions{})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/record")
}
