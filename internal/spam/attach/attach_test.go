package attach

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"posta/internal/message"
	"posta/internal/spam/content"
)

type entry struct{ name, data string }

func zipOf(t testing.TB, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		f, err := w.Create(e.name)
		if err == nil {
			_, err = io.WriteString(f, e.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func tarOf(t testing.TB, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		err := w.WriteHeader(&tar.Header{Name: e.name, Size: int64(len(e.data)), Mode: 0o644, Typeflag: tar.TypeReg})
		if err == nil {
			_, err = io.WriteString(w, e.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipOf(t testing.TB, data string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func unbase64(t testing.TB, s string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// encrypted sets the flag of encryption in the directory of a zip.
func encrypted(z string) string {
	b := []byte(z)
	for i := 0; ; {
		j := bytes.Index(b[i:], []byte("PK\x01\x02"))
		if j < 0 {
			return string(b)
		}
		b[i+j+8] |= 1
		i += j + 4
	}
}

// windowsProgram is the two headers of one.
func windowsProgram() string {
	b := make([]byte, 128)
	copy(b, "MZ")
	binary.LittleEndian.PutUint32(b[60:], 64)
	copy(b[64:], "PE\x00\x00")
	return string(b)
}

// compound is a compound file with one directory entry.
func compound(name string) string {
	b := make([]byte, 512+128*4)
	copy(b, oleMagic)
	e := b[512+128:]
	n := utf16Name(name)
	copy(e, n)
	e[64], e[66] = byte(len(n)), 1
	return string(b)
}

func diskImage() string {
	b := make([]byte, 40<<10)
	copy(b[32769:], "CD001")
	return string(b)
}

// mail is a message with files.
func mail(files ...entry) []byte {
	var b strings.Builder
	b.WriteString("Content-Type: multipart/mixed; boundary=xx\r\n\r\n")
	for _, f := range files {
		fmt.Fprintf(&b, "--xx\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment%s\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n",
			message.FormatParam("filename", f.name), base64.StdEncoding.EncodeToString([]byte(f.data)))
	}
	return []byte(b.String() + "--xx--\r\n")
}

func read(t testing.TB, raw []byte) *content.Content {
	t.Helper()
	c, err := content.Read(bytes.NewReader(raw), message.ParseBytes(raw, message.Budget{}), content.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func inspect(t testing.TB, b Budget, files ...entry) Report {
	t.Helper()
	raw := mail(files...)
	r, err := Inspect(bytes.NewReader(raw), read(t, raw), b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(r Report) string {
	var out []string
	for _, h := range r.Hits {
		out = append(out, fmt.Sprintf("%s %d [%s]", h.Rule, h.Count, strings.Join(h.Seen, "; ")))
	}
	return strings.Join(out, " ")
}

func TestInspect(t *testing.T) {
	exe := windowsProgram()
	word := []entry{{"[Content_Types].xml", "<x/>"}, {"word/document.xml", "<x/>"}}
	for _, c := range []struct {
		name string
		file entry
		want string
	}{
		{"a picture", entry{"photo.jpg", "\xff\xd8\xff\xe0 JFIF"}, ""},
		{"a text that begins with MZ", entry{"note.txt", "MZ is a fine pair of letters" + strings.Repeat(".", 100)}, ""},
		{"a program by name", entry{"setup.exe", "x"}, "executable 1 [setup.exe: .exe]"},
		{"a program by content", entry{"setup", exe}, "executable 1 [setup: Windows program]"},
		{"a program called a picture", entry{"photo.jpg", exe}, "executable 1 [photo.jpg: Windows program] disguised 1 [photo.jpg: Windows program that is called .jpg]"},
		{"two ends", entry{"Factura.PDF.js", "x"}, "executable 1 [Factura.PDF.js: .js] disguised 1 [Factura.PDF.js: .pdf and then .js]"},
		{"spaces between them", entry{"a.pdf          .scr", "x"}, "executable 1 [a.pdf          .scr: .scr] disguised 1 [a.pdf          .scr: .pdf and then .scr]"},
		{"a dot at the end", entry{"a.exe. ", "x"}, "executable 1 [a.exe. : .exe]"},
		{"a stream", entry{"a.exe::$DATA", "x"}, "executable 1 [a.exe::$DATA: .exe]"},
		{"turned round", entry{"ann\u202efdp.exe", "x"}, "executable 1 [ann[U+202E]fdp.exe: .exe] disguised 1 [ann[U+202E]fdp.exe: characters that turn the direction of writing]"},
		{"shortcut", entry{"doc", "L\x00\x00\x00\x01\x14\x02\x00 x"}, "executable 1 [doc: Windows shortcut]"},
		{"disk image", entry{"doc", diskImage()}, "executable 1 [doc: disk image]"},
		{"a folder in the name", entry{`..\..\a.exe`, "x"}, `executable 1 [..\..\a.exe: .exe]`},

		{"word with macros", entry{"a.docx", zipOf(t, append(word, entry{"word/vbaProject.bin", "x"})...)}, "macro 1 [a.docx: VBA project]"},
		{"word without", entry{"a.docx", zipOf(t, word...)}, ""},
		{"word with macros in its name only", entry{"a.docm", "x"}, "macro 1 [a.docm: .docm]"},
		{"excel 4 macros", entry{"a.xlsx", zipOf(t, entry{"xl/macrosheets/sheet1.xml", "x"})}, "macro 1 [a.xlsx: macro sheet]"},
		{"old word with macros", entry{"a.doc", compound("_VBA_PROJECT")}, "macro 1 [a.doc: VBA project]"},
		{"old word without", entry{"a.doc", compound("WordDocument")}, ""},
		{"old word in word", entry{"a.docx", zipOf(t, entry{"word/embeddings/1.bin", compound("_VBA_PROJECT")})}, "macro 1 [a.docx / word/embeddings/1.bin: VBA project]"},
		{"encrypted office", entry{"a.docx", compound("EncryptedPackage")}, "encrypted 1 [a.docx: encrypted office document]"},

		{"program in zip", entry{"a.zip", zipOf(t, entry{"x/b.txt", "x"}, entry{"b.scr", "x"})}, "executable 1 [a.zip / b.scr: .scr]"},
		{"zip in zip in tar.gz", entry{"a.tgz", gzipOf(t, tarOf(t, entry{"b.zip", zipOf(t, entry{"c.zip", zipOf(t, entry{"d", exe})})}))},
			"executable 1 [a.tgz / a.tar / b.zip / c.zip / d: Windows program]"},
		{"encrypted zip", entry{"a.zip", encrypted(zipOf(t, entry{"b.exe", "x"}, entry{"c.txt", "x"}))}, "executable 1 [a.zip / b.exe: .exe] encrypted 1 [a.zip: 2 encrypted entries]"},
		{"a program before the zip", entry{"a.zip", exe + zipOf(t, entry{"b.txt", "x"})}, "executable 1 [a.zip: Windows program] disguised 1 [a.zip: Windows program that is called .zip]"},
		{"a zip without end", entry{"a.zip", zipOf(t, entry{"b.exe", "x"})[:50]}, "opaque 1 [a.zip: zip without a readable directory]"},
		{"rar", entry{"a.rar", "Rar!\x1a\x07\x00" + strings.Repeat("\x00", 30)}, "unopened 1 [a.rar: rar archive]"},
		{"encrypted rar 4", entry{"a.rar", "Rar!\x1a\x07\x00\x00\x00\x73\x80\x00\x0d\x00" + strings.Repeat("\x00", 30)}, "encrypted 1 [a.rar: rar archive]"},
		{"encrypted rar 5", entry{"a.rar", "Rar!\x1a\x07\x01\x00\x00\x00\x00\x00\x21\x04" + strings.Repeat("\x00", 30)}, "encrypted 1 [a.rar: rar archive]"},
		{"7z", entry{"a.7z", "7z\xbc\xaf\x27\x1c" + strings.Repeat("\x00", 30)}, "unopened 1 [a.7z: 7z archive]"},
		{"gzip that is none", entry{"a.gz", "\x1f\x8b\x08 nothing"}, ""},
		{"bzip2", entry{"a.bz2", unbase64(t, "QlpoOTFBWSZTWb7i93sAAAfOAEAAARBCAkAQIAAhKDJoQwIjwdgKds8XckU4UJC+4vd7")}, "executable 1 [a.bz2 / a: Windows program]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := text(inspect(t, Budget{}, c.file)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// Bombs cost what the budget allows, and become a finding.
func TestBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 8<<20)
	nested := zipOf(t, entry{"x", "x"})
	for i := range 6 {
		nested = zipOf(t, entry{fmt.Sprint(i, ".zip"), nested})
	}
	var many []entry
	for i := range 3000 {
		many = append(many, entry{fmt.Sprint(i), ""})
	}
	var wide []entry
	packed := gzipOf(t, zeros[:1<<20])
	for i := range 200 {
		wide = append(wide, entry{fmt.Sprint(i, ".gz"), packed})
	}
	for _, c := range []struct {
		name string
		file entry
		want string
	}{
		{"ratio", entry{"a.zip", zipOf(t, entry{"zeros", zeros})}, "a.zip / zeros: grows from"},
		{"depth", entry{"a.zip", nested}, "archives nested deeper than 4"},
		{"entries", entry{"a.zip", zipOf(t, many...)}, "more than 1000 entries"},
		{"entries of tar", entry{"a.tar", tarOf(t, many...)}, "more than 1000 entries"},
		{"octets", entry{"a.tar.gz", gzipOf(t, tarOf(t, wide...))}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := mail(c.file)
			s := search{b: Budget{}.withDefaults()}
			s.bytes, s.entries = s.b.Bytes, s.b.Entries
			for i, f := range read(t, raw).Files {
				if err := s.part(bytes.NewReader(raw), f.Part, f.Name); err != nil {
					t.Fatal(i, err)
				}
			}
			if got := text(s.report); !strings.Contains(got, c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
			if s.bytes < -headBytes || s.report.Files > s.b.Entries+1 {
				t.Errorf("%d octets over budget, %d files", -s.bytes, s.report.Files)
			}
		})
	}
}

// When the octets are spent, what follows is told, and the mail is judged.
func TestSpent(t *testing.T) {
	r := inspect(t, Budget{Bytes: 4096}, entry{"a.bin", strings.Repeat("x", 10_000)}, entry{"b.exe", "x"})
	if got := text(r); got != "unopened 1 [b.exe: not looked into: over the budget of this message]" {
		t.Error(got)
	}
}

// An error of the message's bytes is not taken for a faulty file.
func TestReadError(t *testing.T) {
	raw := mail(entry{"a.zip", zipOf(t, entry{"x", "x"})})
	c := read(t, raw)
	if _, err := Inspect(failing{}, c, Budget{}); err != iotest.ErrTimeout {
		t.Errorf("got %v", err)
	}
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, iotest.ErrTimeout }

// Any bytes under any name are looked into within the budget.
func FuzzInspect(f *testing.F) {
	exe := windowsProgram()
	for _, e := range []entry{
		{"a.zip", zipOf(f, entry{"b.exe", exe}, entry{"c.gz", gzipOf(f, "x")})}, {"a.tar", tarOf(f, entry{"b", exe})},
		{"a.gz", gzipOf(f, tarOf(f, entry{"b", "x"}))}, {"a.doc", compound("_VBA_PROJECT")}, {"a.rar", "Rar!\x1a\x07\x01\x00\x00\x00\x00\x00\x21\x04 0123456789"},
	} {
		f.Add(e.name, []byte(e.data))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		b := Budget{File: 1 << 16, Bytes: 1 << 18, Entries: 20, Depth: 2}.withDefaults()
		s := search{b: b, bytes: b.Bytes, entries: b.Entries}
		file := file{path: shown(name), name: name}
		err := s.look(bytes.NewReader(data), &file)
		if err != nil && err != errSpent {
			t.Fatal(err)
		}
		if s.report.Files > b.Entries+1 || s.bytes < -headBytes-1<<20 {
			t.Errorf("%d files, %d octets left", s.report.Files, s.bytes)
		}
		for _, h := range s.report.Hits {
			if h.Count < 1 || len(h.Seen) == 0 || len(h.Seen) > maxSeen {
				t.Errorf("%+v", h)
			}
			for _, x := range h.Seen {
				if len(x) > 1000 || strings.ContainsAny(x, "\u202e\r\n") {
					t.Errorf("shown: %q", x)
				}
			}
		}
	})
}
