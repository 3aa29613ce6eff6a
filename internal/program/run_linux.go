package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"posta/internal/sandbox"
)

// Verb is the name under which our own binary is called to become a program.
const Verb = "posta-program"

// pipesClose is how long what a program left running may hold its output open.
const pipesClose = time.Second

// input is standard input. When it cannot be read to its end the program is killed before
// it could take what it has for the whole; fail is told why.
type input struct {
	r    io.Reader
	fail func(error)
}

func (in *input) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	if err != nil && err != io.EOF {
		in.fail(err)
	}
	return n, err
}

// run starts the child, and ends it with all of its group. stop ends ctx.
func run(ctx context.Context, stop context.CancelCauseFunc, p *Program, env []string, stdin io.Reader, out io.Writer) (exit int, err error) {
	spec, err := json.Marshal(p)
	if err != nil {
		return -1, err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args, cmd.Env, cmd.Dir = []string{Verb, string(spec)}, env, "/"
	var over atomic.Bool // nothing is left to be killed
	kill := func() error {
		if over.Load() {
			return os.ErrProcessDone
		}
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	cmd.Stdin = &input{stdin, func(err error) { stop(err); kill() }}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = kill
	cmd.WaitDelay = pipesClose
	if err := cmd.Start(); err != nil {
		return -1, fmt.Errorf("%w: %w", ErrStart, err)
	}
	ended(cmd.Process.Pid)
	// While it is not reaped its number is nobody else's, nor that of its group.
	kill()
	over.Store(true)
	err = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled():
		return -1, fmt.Errorf("it was ended by a signal: %v", status.Signal())
	case ok && status.Exited() && status.ExitStatus() != notStarted:
		return status.ExitStatus(), nil
	case ok && status.Exited():
		return -1, ErrStart
	}
	return -1, errors.Join(ErrStart, err)
}

// ended waits until a child has ended, without reaping it.
func ended(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// notStarted is the exit status of a child that could not become its program. Programs
// do not use it: sysexits end at 78, shells and signals begin at 126.
const notStarted = 122

// Child is what our binary does when it is called by the name Verb: it confines itself
// and becomes the program. It comes back only with the exit status of a failure, told on
// standard error.
func Child(args []string) int {
	err := become(args)
	fmt.Fprintln(os.Stderr, err)
	return notStarted
}

func become(args []string) error {
	var p Program
	if len(args) != 1 {
		return errors.New("this name is for posta itself")
	}
	if err := json.Unmarshal([]byte(args[0]), &p); err != nil {
		return err
	}
	own := sandbox.Paths{ReadWrite: p.Write, Execute: append(append(System(), p.Path), p.Read...)}
	if err := sandbox.ConfineProgram(sandbox.System().Plus(own), p.Network); err != nil {
		return err
	}
	runtime.LockOSThread() // until it is another program
	if err := closeSockets(p.Network); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	argv := append([]string{filepath.Base(p.Path)}, p.Args...)
	env := os.Environ()
	for _, l := range []struct {
		what int
		most uint64
	}{
		{unix.RLIMIT_CORE, 0}, {unix.RLIMIT_FSIZE, uint64(p.File)}, {unix.RLIMIT_NOFILE, uint64(p.Files)},
		{unix.RLIMIT_CPU, uint64(max(p.CPU/time.Second, 1))},
	} {
		if err := syscall.Setrlimit(l.what, &syscall.Rlimit{Cur: l.most, Max: l.most}); err != nil {
			return fmt.Errorf("limit %d: %w", l.what, err)
		}
	}
	return execute(p.Path, argv, env, uint64(p.Memory))
}

// execute limits the address space and becomes the program. Our own runtime has reserved
// more than most programs may have: from the limit on it can neither grow nor make a
// thread. So all is ready before, what follows asks nothing of it, and a failure is told
// without it.
func execute(path string, argv, env []string, memory uint64) error {
	file, err := syscall.BytePtrFromString(path)
	if err != nil {
		return err
	}
	args, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	vars, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	said := append(make([]byte, 0, len(path)+200), path...)
	limit := syscall.Rlimit{Cur: memory, Max: memory}
	debug.SetGCPercent(-1)
	if _, _, no := syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_AS, uintptr(unsafe.Pointer(&limit)), 0, 0, 0); no != 0 {
		return fmt.Errorf("limit of memory: %w", no)
	}
	_, _, no := syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(file)), uintptr(unsafe.Pointer(&args[0])), uintptr(unsafe.Pointer(&vars[0])))
	said = append(append(append(said, ": "...), no.Error()...), '\n')
	syscall.RawSyscall(unix.SYS_WRITE, 2, uintptr(unsafe.Pointer(&said[0])), uintptr(len(said)))
	syscall.RawSyscall(unix.SYS_EXIT_GROUP, notStarted, 0, 0)
	return no
}
