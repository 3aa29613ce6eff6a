package relay

import (
	"io"
	"net/netip"
	"strings"
	"testing"
)

// Whatever a host says, each recipient has an outcome with a reply that can be
// shown, a message is delivered only after a 354 and a 2yz behind it, and no
// connection is left behind.
func FuzzHost(f *testing.F) {
	whole := "220 x\r\n250-x\r\n250-PIPELINING\r\n250 8BITMIME\r\n250 ok\r\n250 ok\r\n450 4.7.1 grey\r\n354 go\r\n250 2.0.0 done\r\n221 bye\r\n"
	for _, s := range []string{"", whole, whole[:40], "220 x\r\n500 no\r\n250 x\r\n421 bye\r\n", "554 no\r\n", "220-\r\n220-\r\n", "HTTP/1.1 200 OK\r\n\r\n",
		"220 x\r\n250-x\r\n250 STARTTLS\r\n220 go\r\n", strings.Repeat("220-x\r\n", 200), "220 " + strings.Repeat("x", 3000), "220 \x00\x1b[2J\r\n250 \xff\r\n250 ok\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, said string) {
		w := newWorld()
		l := w.listen(t, "192.0.2.1:25")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				io.WriteString(c, said[:min(len(said), 32<<10)])
				c.(interface{ CloseWrite() error }).CloseWrite()
				io.Copy(io.Discard, c)
				c.Close()
			}
		}()
		r := newRelay(t, w)
		out := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), letter(text, "luis@example.net", "eva@example.net"))
		r.Close()
		l.Close()
		<-done
		for _, o := range out {
			if o.Reply.Code < 200 || o.Reply.Code > 599 || strings.ContainsFunc(o.Reply.String(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("%+v", o)
			}
			if o.Status == Delivered && (!o.Reply.OK() || !strings.Contains(said, "354")) || o.Status == Busy {
				t.Errorf("%+v", o)
			}
		}
		if !r.open.Enter(place{AddrPort: netip.MustParseAddrPort("192.0.2.1:25")}, 1) {
			t.Error("a connection is still counted")
		}
	})
}
