package access

import "testing"

// Entries that nobody asks are told so; all others, and those that ask for nothing, are
// not.
func TestUnasked(t *testing.T) {
	for line, unasked := range map[[2]string]bool{
		{"CERTISSUER:/C=US/O=A", "RELAY"}:    true,
		{"CERTISSUER:/C=US/O=A", "SUBJECT"}:  true,
		{"CERTSUBJECT:/C=US/CN=b", "RELAY"}:  true,
		{"TLS_Clt:pc.example", "ENCR:128"}:   true,
		{"TLS_Srv:mx.example", "VERIFY:112"}: true,
		{"TLS_Srv:", "PERM+ENCR:128"}:        true,
		{"TLS_Srv:mx.example", "OK"}:         false,
		{"TLS_Clt:192.0.2.1", "OK"}:          false,
		{"Connect:192.0.2", "REJECT"}:        false,
		{"Spam:abuse@", "FRIEND"}:            false,
		{"a.example", "RELAY"}:               false,
	} {
		k, err := ParseKey(line[0])
		if err != nil {
			t.Fatal(line, err)
		}
		v, err := ParseValue(line[1])
		if err == nil {
			err = CheckEntry(k, v)
		}
		if err != nil {
			t.Fatal(line, err)
		}
		if got := Unasked(k, v); (got != nil) != unasked {
			t.Errorf("%v: %v", line, got)
		}
	}
}
