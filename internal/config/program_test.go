package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a [[program]] table may say, and what is said of one that is wrong.
func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tickets")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".txt", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	text := func(more string) string {
		return "hostname = \"mail.example.org\"\n[[program]]\nname = \"tickets\"\npath = \"" + path + "\"\n" + more
	}
	c, err := Parse("posta.toml", []byte(text("args = [\"-q\", \"alta\"]\ntimeout = \"5m\"\nmemory = \"64 MiB\"\nwrite = [\""+dir+"\"]\n")))
	if err != nil {
		t.Fatal(err)
	}
	if p := c.Runnable()[0]; p.Path != path || len(p.Args) != 2 || p.Time != 5*time.Minute || p.Memory != 64<<20 || p.Write[0] != dir || p.Network {
		t.Errorf("%+v", p)
	}
	for _, bad := range []struct{ more, want string }{
		{"cpu = \"1ms\"\n", "program[1].cpu: 1ms is out of range"},
		{"memory = 1000\n", "less than 16 MiB"},
		{"write = [\"" + path + "\"]\n", "is no folder"},
		{"read = [\"lib\"]\n", "does not begin with /"},
		{"[[program]]\nname = \"tickets\"\npath = \"" + path + "\"\n", "program[1] is called \"tickets\" already"},
		{"[[program]]\nname = \"a b\"\npath = \"" + path + "\"\n", "is no name for it"},
		{"[[program]]\nname = \"b\"\npath = \"" + path + " -x\"\n", "no such file"},
		{"[[program]]\nname = \"b\"\npath = \"" + path + ".txt\"\n", "chmod +x"},
		{"[[program]]\nname = \"b\"\n", "it needs a name"},
	} {
		if _, err := Parse("posta.toml", []byte(text(bad.more))); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want %s", bad.more, err, bad.want)
		}
	}
}
