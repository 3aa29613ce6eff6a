package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// tree is a file system of these files; a name that ends in "/" is a folder.
func tree(files map[string]string) fs.FS {
	out := fstest.MapFS{}
	for name, data := range files {
		if dir, ok := strings.CutSuffix(name, "/"); ok {
			out[dir] = &fstest.MapFile{Mode: fs.ModeDir | 0o700}
			continue
		}
		out[name] = &fstest.MapFile{Data: []byte(data), Mode: 0o600, ModTime: time.Unix(1700000000, 0)}
	}
	return out
}

func TestFolders(t *testing.T) {
	for _, c := range []struct {
		name, want string
		files      map[string]string
	}{
		{"Maildir++", "INBOX . true|Sent .Sent true|Work .Work false|Work/2025 .Work.2025 true|año .a&APE-o false", map[string]string{
			"cur/": "", "new/": "", "tmp/": "", ".Sent/cur/": "", ".Sent/new/": "", ".Work.2025/cur/": "", ".Work.2025/new/": "",
			".Work/cur/": "", ".Work/new/": "", ".a&APE-o/cur/": "", ".a&APE-o/new/": "",
			"subscriptions": "Sent\nWork/2025\n",
		}},
		{"Dovecot's second version of subscriptions", "INBOX . true|Old .Old false|Work/2025 .Work.2025 true", map[string]string{
			"cur/": "", "new/": "", ".Work.2025/cur/": "", ".Work.2025/new/": "", ".Old/cur/": "", ".Old/new/": "",
			"subscriptions": "V\t2\n\nWork\t2025\n",
		}},
		{"folders within folders", "INBOX . true|lists lists true|lists/go lists/go true", map[string]string{
			"cur/": "", "new/": "", "lists/cur/": "", "lists/new/": "", "lists/go/cur/": "", "lists/go/new/": "", "notes/cur/": "",
		}},
		{"Courier's INBOX before each name", "INBOX . true|a .INBOX.a true", map[string]string{
			"cur/": "", "new/": "", ".INBOX.a/cur/": "", ".INBOX.a/new/": "",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := Folders(tree(c.files), ".")
			var got []string
			for _, f := range list {
				got = append(got, fmt.Sprintf("%s %s %t", f.Name, f.Path, f.Subscribed))
			}
			if s := strings.Join(got, "|"); err != nil || s != c.want {
				t.Errorf("%v\n got %s\nwant %s", err, s, c.want)
			}
		})
	}
	if _, err := Folders(tree(map[string]string{"a.eml": ""}), "."); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
}

func TestMessages(t *testing.T) {
	got, err := Messages(tree(map[string]string{
		"cur/1600000002.M1P2.host,S=3:2,FRSTa": "x", "cur/1600000001.a:2,Dz": "x", "new/1600000003.new": "x", "cur/odd": "x", "cur/1800000000.appended:2,": "x",
		"new/.hidden": "x", "dovecot-keywords": "0 $Work\n1 later\nbad\n",
	}), Folder{Path: "."})
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{Path: "cur/1600000001.a:2,Dz", Date: time.Unix(1600000001, 0), Draft: true},
		{Path: "cur/1600000002.M1P2.host,S=3:2,FRSTa", Date: time.Unix(1600000002, 0), Seen: true, Answered: true, Flagged: true, Deleted: true, Keywords: []string{"$Work"}},
		{Path: "new/1600000003.new", Date: time.Unix(1600000003, 0)},
		{Path: "cur/1800000000.appended:2,", Date: time.Unix(1700000000, 0)},
		{Path: "cur/odd", Date: time.Unix(1700000000, 0)},
	}
	for i := range got {
		got[i].Date = got[i].Date.UTC()
		want[i].Date = want[i].Date.UTC()
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// What Writer makes, Folders and Messages read as it was.
func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "md")
	w, err := NewWriter(dir)
	if err != nil {
		t.Fatal(err)
	}
	type letter struct {
		folder string
		e      Entry
		data   string
	}
	letters := []letter{
		{"INBOX", Entry{Date: time.Unix(1600000001, 0), Seen: true, Keywords: []string{"$Work"}}, "Subject: a\r\n\r\none\r\n"},
		{"INBOX", Entry{Date: time.Unix(1600000002, 0)}, "Subject: b\r\n\r\ntwo\r\n"},
		{"Año/v1^0", Entry{Date: time.Unix(1600000003, 0), Flagged: true, Answered: true, Draft: true, Deleted: true}, "three"},
	}
	at := ""
	for _, l := range letters {
		if l.folder != at {
			at = l.folder
			if err := w.Folder(at); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Message(l.e, []byte(l.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil || w.Unmarked() != 0 {
		t.Fatal(err, w.Unmarked())
	}
	fsys := os.DirFS(dir)
	folders, err := Folders(fsys, ".")
	if err != nil {
		t.Fatal(err)
	}
	var got []letter
	for _, f := range folders {
		list, err := Messages(fsys, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			data, err := fs.ReadFile(fsys, e.Path)
			if err != nil {
				t.Fatal(err)
			}
			e.Path = ""
			got = append(got, letter{f.Name, e, string(data)})
		}
	}
	if !reflect.DeepEqual(got, letters) {
		t.Errorf("got  %+v\nwant %+v", got, letters)
	}
	if _, err := NewWriter(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second time: %v", err)
	}
}

// Names of folders and files, whatever they are, give names of mailboxes and dates in
// their range.
func FuzzNames(f *testing.F) {
	f.Add(".a.b", "1600000001.M1P2.host:2,FS")
	f.Add("a/&-/..b", "x:2,,z")
	f.Fuzz(func(t *testing.T, folder, file string) {
		var e Entry
		e.flags(file, [26]string{0: "a", 25: "z"})
		if len(e.Keywords) > len(file) {
			t.Fatal(e.Keywords)
		}
		if s := stamp(file); !s.IsZero() && (s.Year() < 1979 || s.Year() > 2101) {
			t.Fatal(s)
		}
		if got := nameOf(folder); len(got) > 2*len(folder)+1 {
			t.Fatalf("%q of %q", got, folder)
		}
	})
}
