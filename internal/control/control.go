// Package control is the door through which commands come in from this machine:
// a unix socket that the kernel vouches for (peer credentials), speaking HTTP
// with JSON bodies: POST /command/<name>. Commands that carry messages are POST
// /stream/<name>: a line of JSON, then octets. Root and the user that the server runs
// as may do everything; others nothing.
//
// The same commands work without a server, on a data folder that nobody has
// open: see Client and the callers of command.Do.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strconv"
	"strings"
	"time"

	"posta/internal/command"
	"posta/internal/store"
)

// maxResult bounds a command's result; command.MaxArgs its arguments.
const maxResult = 256 << 20

// Server answers commands on a listener.
type Server struct {
	House *command.House
	Log   *slog.Logger
}

type peerKey struct{}

// peer is who is at the other end of a unix socket.
type peer struct {
	uid int
	err error
}

// Listen makes the socket, readable by its owner only; one that a dead process
// left is removed.
func Listen(path string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("%s: a server answers there already", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Serve answers until the context ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /command/{name}", s.handle)
	mux.HandleFunc("POST /stream/{name}", s.stream)
	// Profiles, for whoever may give commands anyway:
	//	curl --unix-socket DATA/posta.sock 'http://posta/debug/pprof/profile?seconds=5' >cpu
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	srv := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			uid, err := PeerUID(c)
			return context.WithValue(ctx, peerKey{}, peer{uid, err})
		},
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// principal is who the kernel says the peer is.
func principal(ctx context.Context) command.Principal {
	p, _ := ctx.Value(peerKey{}).(peer)
	out := command.Principal{Name: "uid:" + strconv.Itoa(p.uid)}
	if p.err == nil && (p.uid == 0 || p.uid == os.Geteuid()) {
		out.Role = store.Owner
	}
	return out
}

func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	args, err := io.ReadAll(http.MaxBytesReader(w, r.Body, command.MaxArgs(r.PathValue("name"))))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	out, err := command.Do(r.Context(), s.House, principal(r.Context()), r.PathValue("name"), args)
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(status(err))
		out = describe(err)
		s.Log.WarnContext(r.Context(), "command failed", "command", r.PathValue("name"), "err", err)
	}
	if err := json.NewEncoder(w).Encode(out); err != nil {
		s.Log.WarnContext(r.Context(), "command's answer not sent", "err", err)
	}
}

// problem is an error on its way: the English sentence for people who look, key
// and arguments for a client that says it in another language.
type problem struct {
	Error string `json:"error"`
	Key   string `json:"key,omitempty"`
	Args  []any  `json:"args,omitempty"`
}

func describe(err error) problem {
	if e, ok := errors.AsType[*command.Error](err); ok {
		return problem{e.Error(), e.Key, e.Args}
	}
	return problem{Error: err.Error()}
}

// statuses joins kinds of failure and HTTP, both ways.
var statuses = []struct {
	kind   error
	status int
}{
	{command.ErrUsage, http.StatusBadRequest},
	{command.ErrDenied, http.StatusForbidden},
	{command.ErrMissing, http.StatusNotFound},
	{command.ErrExists, http.StatusConflict},
	{command.ErrLater, http.StatusServiceUnavailable},
}

func status(err error) int {
	for _, s := range statuses {
		if errors.Is(err, s.kind) {
			return s.status
		}
	}
	return http.StatusInternalServerError
}

// ErrNoServer says that nobody answers at the socket.
var ErrNoServer = errors.New("no server is running")

// Client gives commands to a running server.
type Client struct{ Socket string }

// client speaks to the socket, with a connection for each command.
func (c Client) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", c.Socket)
		},
	}}
}

// Do sends one command and decodes its result into out (nil: thrown away). The
// error is ErrNoServer, a *command.Error, or one of the transport.
func (c Client) Do(ctx context.Context, name string, args, out any) error {
	body, err := json.Marshal(args)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://posta/command/"+name, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.client().Do(req)
	if err != nil {
		if _, ok := errors.AsType[*net.OpError](err); ok {
			return fmt.Errorf("%w (%s: %v)", ErrNoServer, c.Socket, err)
		}
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxResult))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return failure(resp.StatusCode, raw)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

// failure makes the error again that the server had.
func failure(code int, raw []byte) error {
	var p problem
	if json.Unmarshal(raw, &p) != nil || p.Error == "" {
		p.Error = strings.TrimSpace(string(raw))
	}
	if p.Key == "" {
		return errors.New(p.Error)
	}
	for i, a := range p.Args {
		if n, ok := a.(float64); ok && n == math.Trunc(n) {
			p.Args[i] = int64(n) // JSON knows one kind of number
		}
	}
	for _, s := range statuses {
		if s.status == code {
			return &command.Error{Kind: s.kind, Key: p.Key, Args: p.Args}
		}
	}
	return errors.New(p.Error)
}
