package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"posta/internal/command"
)

// maxStreamArgs bounds the line of arguments before the octets of a stream.
const maxStreamArgs = 64 << 10

// stream answers a command that carries octets. What fails once something was
// written breaks the connection off, so that nobody takes it for whole.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	in := bufio.NewReaderSize(r.Body, maxStreamArgs)
	args, err := in.ReadSlice('\n')
	if err != nil {
		http.Error(w, "no line of arguments: "+err.Error(), http.StatusBadRequest)
		return
	}
	out := &begun{w: w}
	err = command.DoStream(r.Context(), s.House, principal(r.Context()), r.PathValue("name"), bytes.Clone(args), in, out)
	if err == nil {
		return
	}
	s.Log.WarnContext(r.Context(), "command failed", "command", r.PathValue("name"), "err", err)
	if out.any {
		panic(http.ErrAbortHandler) // how net/http breaks off an answer
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status(err))
	if err := json.NewEncoder(w).Encode(describe(err)); err != nil {
		s.Log.WarnContext(r.Context(), "command's answer not sent", "err", err)
	}
}

// begun notes whether anything was written.
type begun struct {
	w   io.Writer
	any bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.any = b.any || len(p) > 0
	return b.w.Write(p)
}

// Stream gives a command that carries octets: in is sent behind the arguments (nil:
// nothing), and what the server answers is copied to out. Errors are those of Do.
func (c Client) Stream(ctx context.Context, name string, args any, in io.Reader, out io.Writer) error {
	head, err := json.Marshal(args)
	if err != nil {
		return err
	}
	body := io.Reader(bytes.NewReader(append(head, '\n')))
	if in != nil {
		body = io.MultiReader(body, in)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://posta/stream/"+name, body)
	if err != nil {
		return err
	}
	resp, err := c.client().Do(req)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			return fmt.Errorf("%w (%s: %v)", ErrNoServer, c.Socket, err)
		}
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		raw, err := io.ReadAll(io.LimitReader(resp.Body, maxStreamArgs))
		if err != nil {
			return err
		}
		return failure(resp.StatusCode, raw)
	}
	_, err = io.Copy(out, resp.Body)
	return err
}
