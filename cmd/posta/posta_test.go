package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every command and flag has its text in both languages: a key that is missing
// shows as itself.
func TestEveryCommandHasItsText(t *testing.T) {
	for _, lang := range []string{"en_US.UTF-8", "es_ES.UTF-8"} {
		t.Setenv("LC_ALL", lang)
		n := 0
		var walk func(c *cobra.Command)
		walk = func(c *cobra.Command) {
			n++
			if c.Short == "" || strings.HasPrefix(c.Short, "cmd.") {
				t.Errorf("%s: %s has no text (%q)", lang, c.CommandPath(), c.Short)
			}
			c.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if strings.HasPrefix(f.Usage, "flag.") || f.Usage == "" {
					t.Errorf("%s: %s --%s has no text", lang, c.CommandPath(), f.Name)
				}
			})
			for _, s := range c.Commands() {
				if s.Name() != "completion" && s.Name() != "help" {
					walk(s)
				}
			}
		}
		walk(newRoot())
		if n < 30 {
			t.Errorf("only %d commands", n)
		}
	}
}

// The flags that programs give to sendmail.
func TestParseSendmail(t *testing.T) {
	for _, c := range []struct {
		args string
		want submission
	}{
		{"-t -i", submission{mode: 'm', fromHeader: true, dots: true}},
		{"-oi -f ana@empresa.test luis@empresa.test", submission{mode: 'm', dots: true, from: "ana@empresa.test", rcpts: []string{"luis@empresa.test"}}},
		{"-fana@empresa.test -FAna -- -x", submission{mode: 'm', from: "ana@empresa.test", name: "Ana", rcpts: []string{"-x"}}},
		{"-bp", submission{mode: 'p'}},
		{"-bs", submission{mode: 's'}},
		{"-B8BITMIME -N never -R hdrs -V x a", submission{mode: 'm', rcpts: []string{"a"}}},
	} {
		got, err := parseSendmail(strings.Fields(c.args))
		if err != nil || got.from != c.want.from || got.name != c.want.name || got.mode != c.want.mode || got.dots != c.want.dots ||
			got.fromHeader != c.want.fromHeader || strings.Join(got.rcpts, " ") != strings.Join(c.want.rcpts, " ") {
			t.Errorf("%s: %+v %v", c.args, got, err)
		}
	}
	if _, err := parseSendmail([]string{"-f"}); err == nil {
		t.Error("-f without address")
	}
}

func TestReadMessage(t *testing.T) {
	for _, c := range []struct {
		in   string
		dots bool
		want string
	}{
		{"a\nb\n", false, "a\r\nb\r\n"},
		{"a\n.\nb\n", false, "a\r\n"},
		{"a\n.\nb\n", true, "a\r\n.\r\nb\r\n"},
		{"a\r\nb", false, "a\r\nb"},
	} {
		got, err := readMessage(strings.NewReader(c.in), c.dots)
		if err != nil || string(got) != c.want {
			t.Errorf("%q: %q %v", c.in, got, err)
		}
	}
}
