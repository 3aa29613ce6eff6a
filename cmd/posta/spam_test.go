package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posta/internal/command"
	"posta/internal/lab"
	"posta/internal/spam/spamtest"
	"posta/internal/words"
)

// spamFiles writes a corpus into a folder: a maildir of wanted mail, an mbox of spam,
// and one message of each kind that is in neither.
func spamFiles(t *testing.T, dir string) {
	t.Helper()
	write := func(name string, b []byte) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := spamtest.Mail(7, 41) // spam at even places
	var mbox bytes.Buffer
	for i, m := range all[:80] {
		if i%2 == 1 {
			write(fmt.Sprintf("Maildir/cur/%d:2,S", i), m)
			continue
		}
		fmt.Fprintf(&mbox, "From x@example.org Tue Dec  1 10:00:00 2026\n%s\n\n", bytes.TrimRight(bytes.ReplaceAll(m, []byte("\r\n"), []byte("\n")), "\n"))
	}
	write("junk.mbox", mbox.Bytes())
	write("spam.eml", all[80])
	write("ham.eml", all[81])
	write("empty.mbox", nil)
}

// What the four commands print in both languages, on a running server that has learned
// nothing at first.
func TestSpamPrints(t *testing.T) {
	spam := (*cli).spamCommand
	for _, lang := range []words.Lang{"en", "es"} {
		l, err := lab.Start(t.Context(), lab.Options{})
		if err != nil {
			t.Fatal(err)
		}
		data := l.Info().Data
		spamFiles(t, data)
		in := func(name string) string { return filepath.Join(data, name) }
		var got strings.Builder
		for _, args := range [][]string{
			{"show"},
			{"explain", in("spam.eml")},
			{"train", "ham", in("Maildir")},
			{"train", "spam", in("junk.mbox")},
			{"train", "spam", in("junk.mbox")}, // it knows them
			{"show"},
			{"explain", in("spam.eml")},
			{"explain", in("ham.eml")},
			{"train", "ham", in("spam.eml"), "--account", "ana@empresa.test"}, // her own word
			{"explain", in("spam.eml"), "--account", "ana@empresa.test"},
			{"show", "ana@empresa.test"},
			{"reset", "--account", "ana@empresa.test"},
			{"show", "ana@empresa.test"},
			{"reset"},
			{"show"},
			{"train", "ham", in("empty.mbox")},
			{"train", "eggs", in("spam.eml")},
			{"train", "ham", in("nothing.eml")},
			{"train", "ham", in("ham.eml"), "--account", "nadie@empresa.test"},
			{"show", "nadie@empresa.test"},
			{"show", "ana@empresa.test", "luis@empresa.test"},
			{"reset", "--account", "nadie@empresa.test"},
			{"explain", in("nothing.eml")},
			{"explain", in("ham.eml"), "--account", "nadie@empresa.test"},
		} {
			got.WriteString(strings.ReplaceAll(told(t, data, lang, spam, args...), data+"/", ""))
		}
		l.Close()
		golden := filepath.Join("testdata", "spam."+string(lang)+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || string(want) != got.String() {
			t.Errorf("%s is not what is printed (%v): go test ./cmd/posta -run SpamPrints -update\n%s", golden, err, got.String())
		}
	}
}

// The same for programs.
func TestSpamJSON(t *testing.T) {
	l, err := lab.Start(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	data := l.Info().Data
	spamFiles(t, data)
	run := func(out any, args ...string) {
		t.Helper()
		var b bytes.Buffer
		c := &cli{lang: "en", dataDir: data, configFile: filepath.Join(data, "posta.toml"), out: &b, json: true}
		cmd := c.spamCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(args)
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(args, err)
		}
		if err := json.Unmarshal(b.Bytes(), out); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, b.String())
		}
	}
	var trained command.SpamTrained
	run(&trained, "train", "ham", filepath.Join(data, "Maildir"))
	if trained != (command.SpamTrained{Learned: 40}) {
		t.Errorf("%+v", trained)
	}
	run(&trained, "train", "spam", filepath.Join(data, "junk.mbox"))
	var models []command.SpamModel
	run(&models, "show")
	if len(models) != 1 || models[0].Account != "" || models[0].Spam != 40 || models[0].Ham != 40 || models[0].Features < 100 || !models[0].Ready {
		t.Errorf("%+v", models)
	}
	var a command.SpamAnswer
	run(&a, "explain", filepath.Join(data, "spam.eml"))
	if a.Verdict != "spam" || a.Points < a.Junk || len(a.Words) == 0 || a.Trained.Spam != 40 {
		t.Errorf("%+v", a)
	}
	run(&a, "explain", filepath.Join(data, "ham.eml"))
	if a.Verdict == "spam" || a.Points >= a.Junk {
		t.Errorf("%+v", a)
	}
	var model command.SpamModel
	run(&model, "reset")
	run(&models, "show")
	if model.Spam != 40 || len(models) != 0 && models[0].Spam+models[0].Ham != 0 {
		t.Errorf("%+v, then %+v", model, models)
	}
}

// A corpus that does not fit one command is given in several, and all of it counts.
func TestSpamTrainsInSeveralLessons(t *testing.T) {
	l, err := lab.Start(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	data := l.Info().Data
	r := rand.New(rand.NewPCG(3, 3))
	dir, octets := filepath.Join(data, "corpus"), 0
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for n := range 300 {
		m := spamtest.Message(r, false, 400)
		octets += len(m)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.eml", n)), m, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := told(t, data, "en", (*cli).spamCommand, "train", "ham", dir), "300"; octets < lessonOctets || !strings.Contains(got, want) {
		t.Errorf("%d octets: %s", octets, got)
	}
}
