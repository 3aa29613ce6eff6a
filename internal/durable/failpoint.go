package durable

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Failpoints are named steps at which a program can be made to fail, so that a test can stop the
// whole program between two operations. The nil value has none and costs a comparison. It is a value
// handed down by the top of the program, which reads it from wherever it likes.
type Failpoints struct {
	points map[string]*failpoint // fixed after parsing
}

type failpoint struct {
	action string
	nth    int64
	seen   atomic.Int64
}

// ParseFailpoints reads a list such as "pack.sync=eio,store.commit=kill:3": name=action[:nth], where
// action is kill (SIGKILL to this process), eio or enospc, and nth (1 by default) says at which visit
// it happens. kill ends everything, the errors are returned from the nth visit on. Empty text gives nil.
func ParseFailpoints(text string) (*Failpoints, error) {
	if text == "" {
		return nil, nil
	}
	f := &Failpoints{points: make(map[string]*failpoint)}
	for item := range strings.SplitSeq(text, ",") {
		name, rest, ok := strings.Cut(strings.TrimSpace(item), "=")
		action, count, counted := strings.Cut(rest, ":")
		p := &failpoint{action: action, nth: 1}
		if counted {
			n, err := strconv.ParseInt(count, 10, 64)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("failpoint %q: the count must be 1 or more", item)
			}
			p.nth = n
		}
		switch action {
		case "kill", "eio", "enospc":
		default:
			ok = false
		}
		if !ok || name == "" {
			return nil, fmt.Errorf("failpoint %q: want name=kill|eio|enospc[:nth]", item)
		}
		f.points[name] = p
	}
	return f, nil
}

// Hit visits a step: nil unless the step is armed and its visit has come.
func (f *Failpoints) Hit(name string) error {
	if f == nil {
		return nil
	}
	p := f.points[name]
	if p == nil || p.seen.Add(1) < p.nth {
		return nil
	}
	switch p.action {
	case "eio":
		return fmt.Errorf("failpoint %s: %w", name, syscall.EIO)
	case "enospc":
		return fmt.Errorf("failpoint %s: %w", name, syscall.ENOSPC)
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		return fmt.Errorf("failpoint %s: cannot kill: %w", name, err)
	}
	select {} // the signal is on its way; nothing more may happen here
}
