package lab

import (
	"fmt"
	"strings"

	"posta/internal/config"
	"posta/internal/scan/scantest"
)

// scanner is one that a server of ours asks, running.
type scanner struct {
	config.Scanner
	server *scantest.Server
}

// scannersOf runs the scanners of a setting, once, until the lab ends. mu is held,
// or nobody else is there yet.
func (l *Lab) scannersOf(set setting) ([]scanner, error) {
	if set.scanners == "" || l.scans[set] != nil {
		return l.scans[set], nil
	}
	var out []scanner
	for text := range strings.SplitSeq(set.scanners, ",") {
		w := strings.Fields(text)
		if len(w) != 3 {
			return nil, fmt.Errorf("lab: scanner %q: a name, a kind and a fallback are wanted", text)
		}
		s, err := scantest.Start(w[1])
		if err != nil {
			return nil, err
		}
		l.group.Go(func() error {
			<-l.ctx.Done()
			s.Close()
			return nil
		})
		out = append(out, scanner{config.Scanner{Name: w[0], Type: w[1], OnFailure: w[2], Address: s.Address()}, s})
	}
	l.scans[set] = out
	return out, nil
}

// setScanner takes a scanner of a server down or up; false where none has the name
// or there is no such verb.
func (h *house) setScanner(name, verb string) bool {
	manner, ok := map[string]scantest.Manner{"up": scantest.Up, "down": scantest.Down, "dying": scantest.Dying}[verb]
	for _, s := range h.scans {
		if ok && s.Name == name {
			s.server.Set(manner)
			return true
		}
	}
	return false
}
