package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/lab"
	"posta/internal/words"
)

var update = flag.Bool("update", false, "write the golden files")

// told gives a sub-command of a running lab and what it prints.
func told(t *testing.T, data string, lang words.Lang, pick func(*cli) *cobra.Command, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	c := &cli{lang: lang, dataDir: data, configFile: filepath.Join(data, "posta.toml"), out: &out}
	cmd := pick(c)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		out.WriteString("! " + sentence(err, lang) + "\n")
	}
	return "$ posta " + cmd.Name() + " " + strings.ReplaceAll(strings.Join(args, " "), data+"/", "") + "\n" + out.String() + "\n"
}

// The way of mail as it is printed in both languages, on a running server; what is
// said of a message is what real mail meets (package intake tests that).
func TestExplainPrints(t *testing.T) {
	l, err := lab.Start(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	data := l.Info().Data
	access, explain := (*cli).accessCommand, (*cli).explainCommand
	file := filepath.Join(data, "carta.eml")
	letter := "From: ines@bien.test\nTo: ana@empresa.test\nSubject: Hola\nDate: " + time.Now().Format(time.RFC1123Z) + "\nMessage-ID: <1@bien.test>\n\nHola\n"
	if err := os.WriteFile(file, []byte(letter), 0o600); err != nil {
		t.Fatal(err)
	}
	client := []string{"--ip", "192.0.2.10", "--helo", "mail.bien.test"}
	told(t, data, "en", access, "add", "From:malo@bien.test", "ERROR:5.7.1:550 Not", "from", "malo", "--note", "asked twice")
	told(t, data, "en", access, "add", "To:trampa@empresa.test", "DISCARD")
	for _, lang := range []words.Lang{"en", "es"} {
		var got strings.Builder
		for _, args := range [][]string{
			append([]string{"rcpt", "ana@empresa.test", "--from", "malo@bien.test"}, client...),
			{"rcpt", "nadie@empresa.test"},
			append([]string{"sender", "ines@bien.test"}, client...),
			append([]string{"message", file, "--from", "ines@bien.test", "--to", "ana@empresa.test", "--to", "trampa@empresa.test"}, client...),
			{"rcpt", "x"},
		} {
			got.WriteString(told(t, data, lang, explain, args...))
		}
		golden := filepath.Join("testdata", "explain."+string(lang)+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || string(want) != got.String() {
			t.Errorf("%s is not what is printed (%v): go test ./cmd/posta -run ExplainPrints -update\n%s", golden, err, got.String())
		}
	}
}
