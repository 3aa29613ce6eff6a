package e2e

import (
	"path/filepath"
	"testing"

	"posta/internal/postatest"
)

// A program that knows nothing but address and password finds every door, and logs in.
func TestAutoconfig(t *testing.T) {
	t.Parallel()
	program := postatest.Peer(t, "python3")
	h := newHouse(t, "")
	script, err := filepath.Abs("testdata/autoconfig_session.py")
	if err != nil {
		t.Fatal(err)
	}
	if out := h.mustProgram(t, "", program, script, h.ca, h.port(t, "https"), luis, h.password[luis]); out != "" {
		t.Errorf("%s", out)
	}
}
