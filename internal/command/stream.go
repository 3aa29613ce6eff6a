package command

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"

	"posta/internal/store"
)

// Stream is a command that carries octets beside its arguments, so that messages need
// not fit into JSON. It reads in to its end, or writes to out, as it is made for; once
// it has written something, an error means that what was written is not whole.
type Stream struct {
	Name string
	Role store.Role // least role that may give it
	Run  func(ctx context.Context, h *House, p Principal, args json.RawMessage, in io.Reader, out io.Writer) error
}

// stream makes a command of a function with typed arguments.
func stream[A any](name string, role store.Role, f func(ctx context.Context, h *House, p Principal, a A, in io.Reader, out io.Writer) error) Stream {
	return Stream{Name: name, Role: role, Run: func(ctx context.Context, h *House, p Principal, raw json.RawMessage, in io.Reader, out io.Writer) error {
		var a A
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&a); err != nil {
			return fail(ErrUsage, "error.arguments", name, err)
		}
		return f(ctx, h, p, a, in, out)
	}}
}

// DoStream carries out a stream command by name.
func DoStream(ctx context.Context, h *House, p Principal, name string, args json.RawMessage, in io.Reader, out io.Writer) error {
	i := slices.IndexFunc(streams, func(s Stream) bool { return s.Name == name })
	if i < 0 {
		return fail(ErrUsage, "error.command.unknown", name)
	}
	if p.Role < streams[i].Role {
		return fail(ErrDenied, "error.command.denied", p.Name, name)
	}
	return translate(streams[i].Run(ctx, h, p, args, in, out))
}
