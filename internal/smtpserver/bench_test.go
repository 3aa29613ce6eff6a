package smtpserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"posta/internal/mail"
	"posta/internal/sasl"
	"posta/internal/smtp"
)

// nullBackend accepts everything and keeps nothing: what is measured is the
// engine.
type nullBackend struct{}

func (nullBackend) Open(context.Context, *mail.Client) (Session, *smtp.Reply) {
	return nullSession{}, nil
}

type nullSession struct{}

func (nullSession) Hello(context.Context, *mail.Client) *smtp.Reply { return nil }
func (nullSession) Authenticate(context.Context, *mail.Client, sasl.Credentials) *smtp.Reply {
	return nil
}
func (nullSession) Mail(context.Context, *mail.Envelope) *smtp.Reply                 { return nil }
func (nullSession) Rcpt(context.Context, *mail.Envelope, mail.Recipient) *smtp.Reply { return nil }
func (nullSession) Data(context.Context, *mail.Envelope) (Sink, *smtp.Reply)         { return nullSink{}, nil }
func (nullSession) Notice(Notice)                                                    {}
func (nullSession) Delivered()                                                       {}
func (nullSession) Reset(context.Context)                                            {}
func (nullSession) Close(context.Context, CloseReason)                               {}

type nullSink struct{}

var accepted = []smtp.Reply{smtp.Accepted.With("00000000000000000000000000")}

func (nullSink) Write(p []byte) (int, error)         { return len(p), nil }
func (nullSink) Commit(context.Context) []smtp.Reply { return accepted }
func (nullSink) Abort()                              {}

// BenchmarkMessage is the cost of one pipelined message of 12 KiB, with that of
// the client and of the connection in memory.
func BenchmarkMessage(b *testing.B) {
	var budget Budget
	budget.Messages, budget.Commands = 1<<40, 1<<40
	srv := New(Config{Hostname: "mx.example.org", Budget: budget}, nullBackend{})
	client, ended := connect(b, srv)
	benchmark(b, client)
	ended()
}

// BenchmarkMessageTCP is the same over loopback: six system calls of each side.
func BenchmarkMessageTCP(b *testing.B) {
	var budget Budget
	budget.Messages, budget.Commands = 1<<40, 1<<40
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := New(Config{Hostname: "mx.example.org", Budget: budget}, nullBackend{})
	ended := make(chan error)
	go func() { ended <- srv.Serve(b.Context(), l) }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, client)
	l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		b.Fatal(err)
	}
}

func benchmark(b *testing.B, client net.Conn) {
	r := bufio.NewReader(client)
	expect := func(prefix string) {
		for {
			line, err := r.ReadSlice('\n')
			if err != nil || !bytes.HasPrefix(line, []byte(prefix)) {
				b.Fatalf("%q, wanted %q: %v", line, prefix, err)
			}
			if line[3] == ' ' {
				return
			}
		}
	}
	expect("220")
	client.Write([]byte("EHLO client.example.net\r\n"))
	expect("250")
	begin := []byte("MAIL FROM:<sender@client.example.net> SIZE=12312\r\nRCPT TO:<someone@example.org>\r\nDATA\r\n")
	message := []byte(strings.Repeat(strings.Repeat("x", 74)+"\r\n", 162) + ".\r\n")
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		client.Write(begin)
		expect("250")
		expect("250")
		expect("354")
		client.Write(message)
		expect("250")
	}
	client.Write([]byte("QUIT\r\n"))
	expect("221")
	client.Close()
}
