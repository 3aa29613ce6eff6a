// Package crashtest kills the real server and looks at what is left.
//
// Each test runs the posta binary on loopback, speaks to it as clients do, keeps a
// ledger of what was acknowledged, and compares it with what is in the data folder
// afterwards: nothing lost, nothing twice, every invariant true.
// docs/DURABILITY.md has the table of states and crash points that these tests
// prove, and the variables that make them longer.
package crashtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// workDir holds the binary and the model of a new house.
var workDir string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if job := os.Getenv(childVar); job != "" {
		return child(job)
	}
	var err error
	if workDir, err = os.MkdirTemp("", "posta-crash-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(workDir)
	return m.Run()
}

// posta builds posta once for all tests.
var posta = sync.OnceValues(func() (string, error) {
	name := filepath.Join(workDir, "posta")
	build := exec.Command("go", "build", "-o", name, "posta/cmd/posta")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return name, nil
})

// rounds is how often a loop runs: few by default, as many as a variable of the
// environment says.
func rounds(t *testing.T, variable string, few int) int {
	t.Helper()
	v := os.Getenv(variable)
	if v == "" {
		if testing.Short() {
			return max(1, few/4)
		}
		return few
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number of rounds", variable, v)
	}
	return n
}

// need skips a test for which a program is missing, unless all are required.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrNotFound) {
		unprepared(t, program+" is not installed")
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// unprepared skips a test for which something is missing, unless all is required.
func unprepared(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("POSTA_REQUIRE_PEERS") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}
