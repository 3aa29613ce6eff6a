package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// program runs a line as a person would type it, with sh(1). The first word of
// the line must be installed, else the scenario is passed over. What follows an
// empty line is its standard input. The environment has SMTP, SUBMISSION,
// SUBMISSIONS (host:port each), SMTP_PORT and so on, CA_FILE, and the passwords
// ANA_PASSWORD and LUIS_PASSWORD.
func (p *play) program(ctx context.Context, s Section) error {
	line, input, _ := strings.Cut(s.Text, "\n\n")
	line = strings.TrimSpace(line)
	name, _, _ := strings.Cut(line, " ")
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%w: %s is not installed", errSkip, name)
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Env = append(os.Environ(), p.environment()...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	fmt.Fprintf(&p.log, "$ %s\n%s", line, out.Bytes())
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return &mismatch{p.where(s.Line), name + ": exit status 0", fmt.Sprintf("exit status %d: %s", e.ExitCode(), oneLine(out.String()))}
	}
	if err != nil {
		return err
	}
	p.note(name+": 0", name+": 0")
	return nil
}

func (p *play) environment() []string {
	var env []string
	for door, address := range p.house.addrs {
		if door == proxyDoor {
			continue // curl would take SMTP_PROXY for its own
		}
		name := strings.ToUpper(door)
		env = append(env, name+"="+address)
		if i := strings.LastIndexByte(address, ':'); i >= 0 {
			env = append(env, name+"_PORT="+address[i+1:])
		}
	}
	for _, u := range p.lab.users {
		local, _, _ := strings.Cut(u.Address, "@")
		env = append(env, strings.ToUpper(local)+"_PASSWORD="+u.Password)
	}
	return append(env, "CA_FILE="+p.lab.CAFile())
}
