package sqlstore

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"posta/internal/mailbox"
)

// BenchmarkAccept is one accept with one local delivery. It reports the CPU of
// the whole process per accept and what was written to the files.
func BenchmarkAccept(b *testing.B) {
	for _, acceptors := range []int{1, 50} {
		b.Run(fmt.Sprintf("acceptors=%d", acceptors), func(b *testing.B) {
			s := openTest(b, b.TempDir())
			benchAccept(b, s, acceptors, accountsForBench(b, s))
		})
	}
}

// BenchmarkAcceptFull is the same on a store with many messages, half of them in
// one mailbox. POSTA_BENCH_STORED says how many (200000).
func BenchmarkAcceptFull(b *testing.B) {
	stored := 20_000
	if _, err := fmt.Sscan(os.Getenv("POSTA_BENCH_STORED"), &stored); err != nil && os.Getenv("POSTA_BENCH_STORED") != "" {
		b.Fatal(err)
	}
	s := openTest(b, b.TempDir())
	accounts := accountsForBench(b, s)
	fillStore(b, s, stored/2, accounts[:1])
	fillStore(b, s, stored/2, accounts)
	b.Run("one mailbox", func(b *testing.B) { benchAccept(b, s, 50, accounts[:1]) })
	b.Run("twenty mailboxes", func(b *testing.B) { benchAccept(b, s, 50, accounts) })
}

func accountsForBench(b *testing.B, s *Store) []mailbox.AccountID {
	var ids []mailbox.AccountID
	for i := range 20 {
		ids = append(ids, makeAccount(b, s, fmt.Sprint("u", i), "example.org"))
	}
	return ids
}

func fillStore(b *testing.B, s *Store, n int, accounts []mailbox.AccountID) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if _, err := s.Accept(b.Context(), letterFor(time.Now(), accounts[i%int64(len(accounts))])); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func benchAccept(b *testing.B, s *Store, acceptors int, accounts []mailbox.AccountID) {
	b.ReportAllocs()
	wrote, cpu := written(b), cpuTime(b)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range acceptors {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if _, err := s.Accept(b.Context(), letterFor(time.Now(), accounts[i%int64(len(accounts))])); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "µs-cpu/op")
	b.ReportMetric(float64(written(b)-wrote)/float64(b.N), "B-written/op")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// written is what this process has given to write calls so far.
func written(b *testing.B) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(os.Getpid()), "io"))
	if err != nil {
		return 0
	}
	var rchar, wchar int64
	if _, err := fmt.Sscanf(string(text), "rchar: %d\nwchar: %d", &rchar, &wchar); err != nil {
		b.Fatal(err)
	}
	return wchar
}

// BenchmarkAcceptPostgres is BenchmarkAccept on a PostgreSQL on this machine; its
// own CPU is not counted.
func BenchmarkAcceptPostgres(b *testing.B) {
	server := startPG(b)
	for _, acceptors := range []int{1, 16} {
		b.Run(fmt.Sprintf("acceptors=%d", acceptors), func(b *testing.B) {
			s := server.open(b, server.newDB(b))
			benchAccept(b, s, acceptors, accountsForBench(b, s))
		})
	}
}
