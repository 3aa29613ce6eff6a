// Package crashtest kills the real server and looks at what is left.
//
// Each test runs the posta binary on loopback, speaks to it as clients do, keeps a
// ledger of what was acknowledged, and compares it with what is in the data folder
// afterwards: nothing lost, nothing twice, every invariant true.
// docs/DURABILITY.md has the table of states and crash points that these tests
// prove, and the variables that make them longer.
package crashtest

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"posta/internal/postatest"
)

// workDir holds the model of a new house.
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
	return postatest.Main(m)
}

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
