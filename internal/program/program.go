// Package program runs programs that an administrator has named, each as a process of
// its own that is confined before it begins: mail on its standard input, no shell, no
// temporary file.
//
//	r := program.New([]program.Program{{Name: "listas", Path: "/usr/local/bin/listas"}})
//	res := r.Run(ctx, "listas", env, message)
//
// # How a program is confined
//
// The child is first this same binary (see [Child]), which takes from itself what the
// program must not have, and then becomes the program: files by Landlock, sockets by seccomp
// and TCP by Landlock too (Linux 6.7), limits of processor time, memory, written files and open files by rlimits.
// It is the leader of a process group, which is killed whole at the time limit and at the
// program's end, so that nothing is left behind. A confined server can give no program
// more than it has itself: what programs need is granted to it at its start ([Paths]).
//
// Its environment is what the caller gives and PATH; of standard output and standard error
// together Output octets are kept, and what comes above is read and dropped.
package program

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"posta/internal/sandbox"
)

// Program is what may be run. Zero limits are the defaults: a minute, 30 s of processor time,
// 1 GiB of memory, 256 MiB of file, 64 open files, 4 KiB of output.
type Program struct {
	Name    string
	Path    string   // absolute
	Args    []string // behind the name
	Read    []string // files and folders that it may read and execute beside System
	Write   []string // folders in which it may make, change and remove files; they exist
	Network bool     // it may use the network; never unix sockets
	Time    time.Duration
	CPU     time.Duration // whole seconds
	Memory  int64         // of address space, in octets
	File    int64         // the largest file that it may write, in octets
	Files   int           // open at the same time
	Output  int           // octets of its output that are kept
}

// defaults are the limits of a program that has none of its own.
var defaults = Program{Time: time.Minute, CPU: 30 * time.Second, Memory: 1 << 30, File: 256 << 20, Files: 64, Output: 4 << 10}

func (p Program) limited() Program {
	p.Time, p.CPU = cmp.Or(p.Time, defaults.Time), cmp.Or(p.CPU, defaults.CPU)
	p.Memory, p.File = cmp.Or(p.Memory, defaults.Memory), cmp.Or(p.File, defaults.File)
	p.Files, p.Output = cmp.Or(p.Files, defaults.Files), cmp.Or(p.Output, defaults.Output)
	return p
}

// System are the folders that every program may read and execute.
func System() []string {
	return []string{"/bin", "/lib", "/lib32", "/lib64", "/usr", "/etc/ld.so.cache", "/etc/alternatives"}
}

// searched is the PATH of every program.
const searched = "PATH=/usr/local/bin:/usr/bin:/bin"

// Paths are what our own process must keep so that programs can have it; none without
// programs.
func Paths(all []Program) sandbox.Paths {
	var out sandbox.Paths
	if len(all) == 0 {
		return out
	}
	if self, err := os.Executable(); err == nil {
		out.Execute = append(out.Execute, self)
	}
	out.Execute = append(out.Execute, System()...)
	for _, p := range all {
		out.Execute = append(append(out.Execute, p.Path), p.Read...)
		out.ReadWrite = append(out.ReadWrite, p.Write...)
	}
	return out
}

// Errors of a Result that has no exit status.
var (
	ErrUnknown = errors.New("no program has this name")
	ErrTime    = errors.New("it took too long")
	ErrStart   = errors.New("it could not be started")
)

// Result is how a program ended.
type Result struct {
	Exit   int    // its exit status (sysexits.h); -1: it has none
	Output []byte // what it wrote to standard output and standard error, cut at the limit
	Err    error  // why it has no exit status: ErrTime, ErrStart, ErrUnknown, a signal, ctx's error
}

// Runner runs programs. It is immutable and safe for concurrent use.
type Runner struct{ all []Program }

// New makes a Runner.
func New(all []Program) *Runner {
	r := &Runner{all: slices.Clone(all)}
	for i := range r.all {
		r.all[i] = r.all[i].limited()
	}
	return r
}

// Has reports whether there is a program of a name.
func (r *Runner) Has(name string) bool {
	return slices.ContainsFunc(r.all, func(p Program) bool { return p.Name == name })
}

// Run runs the program of a name with an environment and a standard input, and blocks
// until it has ended, its time is over or ctx ends; whatever of its group is left then is
// killed. A program that does not read its input to the end may do so.
func (r *Runner) Run(ctx context.Context, name string, env []string, stdin io.Reader) Result {
	at := slices.IndexFunc(r.all, func(p Program) bool { return p.Name == name })
	if at < 0 {
		return Result{Exit: -1, Err: fmt.Errorf("%w: %q", ErrUnknown, name)}
	}
	p := &r.all[at]
	tctx, cancel := context.WithTimeoutCause(ctx, p.Time, ErrTime)
	defer cancel()
	tctx, stop := context.WithCancelCause(tctx)
	defer stop(nil)
	out := &bounded{most: p.Output}
	exit, err := run(tctx, stop, p, append([]string{searched}, env...), stdin, out)
	if cause := context.Cause(tctx); cause != nil && err != nil {
		err = cause
	}
	return Result{Exit: exit, Output: out.b.Bytes(), Err: err}
}

// bounded keeps the beginning of what is written, and drops the rest.
type bounded struct {
	b    bytes.Buffer
	most int
}

// Write never fails: a program that says much is not killed for it.
func (t *bounded) Write(p []byte) (int, error) {
	t.b.Write(p[:min(len(p), t.most-t.b.Len())])
	return len(p), nil
}
