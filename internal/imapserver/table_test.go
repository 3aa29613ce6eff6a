package imapserver

import (
	"bytes"
	"os"
	"testing"
)

// TestTable keeps the protocol in a golden file, so that a change of it is seen
// in review.
func TestTable(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	if err := PrintTable(&got); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/table.golden"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the table is not %s; run go test -update and look at the difference:\n%s", golden, &got)
	}
}
