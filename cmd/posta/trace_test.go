package main

import (
	"errors"
	"strings"
	"testing"
)

// An empty paste is told: as a query it would list every message of the house.
func TestTraceOfNothing(t *testing.T) {
	t.Setenv("LC_ALL", "en_US.UTF-8")
	for _, in := range []string{"", " \r\n"} {
		cmd := newRoot()
		cmd.SetArgs([]string{"--data", t.TempDir(), "trace", "-"})
		cmd.SetIn(strings.NewReader(in))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if err := cmd.Execute(); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), "nothing was pasted") {
			t.Errorf("%q: %v", in, err)
		}
	}
}
