package tally_test

import (
	"testing"

	"posta/internal/spam/tally"
	"posta/internal/spam/tally/tallytest"
)

func TestMemory(t *testing.T) {
	tallytest.Run(t, func(*testing.T) (s, other tally.Store) { return new(tally.Memory), nil })
}
