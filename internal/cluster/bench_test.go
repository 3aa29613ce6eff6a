package cluster

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkAccept measures messages of 12 KiB that two nodes accept from 16
// sessions, and the processor time of both nodes for each. PostgreSQL and the
// bucket run on the same machine, the bucket and the senders in this process:
// their share is not in it.
func BenchmarkAccept(b *testing.B) {
	const sessions = 16
	h := newHouse(b)
	var users []string
	for i := range 4 {
		users = append(users, h.account(b, fmt.Sprint("carga", i)))
	}
	msg := letter(users[0], "carga", 12<<10)
	var next atomic.Int64
	before, start := h.processor(b), time.Now()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			s := sender{nodes: []*node{h.a, h.b}, turn: i}
			defer s.close()
			for next.Add(1) <= int64(b.N) {
				if err := s.attempt(b.Context(), users[i%len(users)], msg); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "msg/s")
	b.ReportMetric(float64((h.processor(b)-before).Microseconds())/float64(b.N), "cpu-µs/msg")
}

// processor is the time that both nodes have used (proc(5), in ticks of 10 ms).
func (h *house) processor(b *testing.B) (sum time.Duration) {
	for _, n := range []*node{h.a, h.b} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.server.Pid()))
		if err != nil {
			b.Skip("there is no /proc here")
		}
		_, rest, _ := strings.Cut(string(text), ") ") // the name may have spaces
		f := strings.Fields(rest)
		for _, ticks := range f[11:13] { // utime, stime
			v, err := strconv.ParseInt(ticks, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(v) * 10 * time.Millisecond
		}
	}
	return sum
}
