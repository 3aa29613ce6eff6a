package crashtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// houseworkPoints are the steps of deletion and compaction, releasePoints those of a
// release that no accept has, backupPoints those of a backup, rotationPoints those of a
// replacement of DKIM keys.
var (
	houseworkPoints = []string{
		"store.doom", "store.forget", "pack.write", "pack.sync", "pack.synced", "pack.move", "store.move",
		"store.commit", "store.committed", "pack.unlink",
	}
	releasePoints = []string{"store.release"}
	backupPoints  = []string{"backup.snapshot", "backup.copy", "backup.manifest", "backup.done"}
	// rotationPoints are killed and failed by package rotate, where time can pass.
	rotationPoints = []string{"rotate.look", "rotate.moved"}
)

// Every failpoint of the product is in the table of docs/DURABILITY.md and is
// killed and failed by a test, and the other way round.
func TestTableOfCrashPoints(t *testing.T) {
	b, err := os.ReadFile("../../docs/DURABILITY.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z.]+)` \\|").FindAllStringSubmatch(string(b), -1) {
		listed[m[1]] = true
	}
	tested := map[string]bool{}
	for _, p := range slices.Concat(serverPoints, outboxPoints, houseworkPoints, releasePoints, backupPoints, rotationPoints) {
		tested[p] = true
		if !listed[p] {
			t.Errorf("%s is tested and not in the table", p)
		}
	}
	for p := range listed {
		if !tested[p] {
			t.Errorf("%s is in the table and not tested", p)
		}
	}
	for p := range failpoints(t) {
		if !tested[p] {
			t.Errorf("%s is in the product and not tested", p)
		}
	}
}

// failpoints finds the names in the product: given to Hit, or in a list of steps.
func failpoints(t *testing.T) map[string]bool {
	t.Helper()
	name := regexp.MustCompile(`Hit\("([a-z.]+)"\)|\{"((?:store|backup|pack)\.[a-z.]+)", (?:func|nil)`)
	out := map[string]bool{}
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return err
		}
		b, err := os.ReadFile(p)
		for _, m := range name.FindAllStringSubmatch(string(b), -1) {
			out[m[1]+m[2]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Errorf("only %d failpoints were found", len(out))
	}
	return out
}
