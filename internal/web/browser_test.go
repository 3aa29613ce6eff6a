package web

import (
	"context"
	"image"
	"image/color"
	"image/png"
	"math"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"posta/internal/finding"
	"posta/internal/trace"
)

// browser runs Debian's Chromium without a window. A test without it is skipped,
// and fails where POSTA_REQUIRE_PEERS=1.
func browser(t *testing.T, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("POSTA_REQUIRE_PEERS") == "1" {
			t.Fatal("POSTA_REQUIRE_PEERS=1, but there is no chromium: apt-get install chromium")
		}
		t.Skip("no chromium: apt-get install chromium")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := t.TempDir()
	cmd := exec.CommandContext(ctx, program, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir=" + dir,
	}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, complaints.String())
	}
	return string(out)
}

// refusals are those whose pages are looked at in the browser.
var refusals = []struct {
	check    finding.ID
	evidence []string
	shown    bool
}{
	{finding.SPFFail, []string{"domain", "strict.example", "record", "v=spf1 " + strings.Repeat("ip4:192.0.2.1 ", 40) + "-all"}, true},
	{finding.PTRMissing, []string{"PTR", "none"}, true},
	{finding.DNSBLListed, []string{"list", "bl.lab.test", "the list says", strings.Repeat("x", 300)}, true},
	{finding.SpamHigh, []string{"score", canary}, false},
	{finding.AccessDenied, []string{"entry", canary}, false},
}

// The page of several refusals, as a person sees it in a browser, in both
// languages.
func TestWhyInBrowser(t *testing.T) {
	for _, r := range refusals {
		for _, lang := range finding.Languages() {
			t.Run(string(r.check)+" "+lang, func(t *testing.T) {
				h, rec := handler(t, nil)
				refuse(rec, r.check, r.evidence) // before anybody can ask for it
				srv := httptest.NewServer(h)
				defer srv.Close()
				dom := browser(t, "--dump-dom", srv.URL+"/why/"+rec.ID.String()+"?lang="+lang)
				text := textOf(dom)
				x := finding.TextOf(r.check, lang)
				for _, want := range []string{x.Title, x.Why, x.Them, "postmaster", rec.ID.String(), "192.0.2.9"} {
					if !strings.Contains(text, want) {
						t.Errorf("no %q in\n%s", want, text)
					}
				}
				if strings.Contains(dom, canary) {
					t.Error("it shows what is not the refused side's to know")
				}
				if r.shown && !strings.Contains(text, strings.TrimSpace(r.evidence[1])) {
					t.Errorf("no evidence in\n%s", text)
				}
			})
		}
	}
}

// On a phone nothing reaches over the edge of the page, however long what was
// seen is. POSTA_SCREENSHOTS names a folder that keeps the pictures.
func TestWhyOnAPhone(t *testing.T) {
	keep := os.Getenv("POSTA_SCREENSHOTS")
	if keep == "" {
		keep = t.TempDir()
	}
	for _, r := range refusals[:3] {
		h, rec := handler(t, nil)
		refuse(rec, r.check, r.evidence)
		srv := httptest.NewServer(h)
		defer srv.Close()
		for _, lang := range finding.Languages() {
			file := filepath.Join(keep, string(r.check)+"."+lang+".png")
			browser(t, "--hide-scrollbars", "--window-size=500,1600", "--screenshot="+file, srv.URL+"/why/"+rec.ID.String()+"?lang="+lang)
			img := picture(t, file)
			b := img.Bounds()
			if b.Dx() != 500 {
				t.Errorf("%s: %d pixels wide", file, b.Dx())
			}
			ink := 0
			for y := b.Min.Y; y < b.Max.Y; y++ {
				for x := b.Min.X; x < b.Max.X; x++ {
					if !same(img.At(x, y), img.At(b.Min.X, b.Min.Y)) {
						ink++
						if x >= b.Max.X-8 {
							t.Fatalf("%s: something reaches over the right edge at line %d", file, y)
						}
					}
				}
			}
			if ink < 5000 {
				t.Errorf("%s: the page is all but empty", file)
			}
		}
	}
}

func refuse(rec *trace.Record, check finding.ID, evidence []string) {
	rec.Findings = finding.Set{}
	rec.Findings.Add(finding.Of(check, finding.Fail, "x", evidence...))
	rec.To[0].Check, rec.To[0].Reply = string(check), "550 5.7.1 "+finding.TextOf(check, "en").Title+" ["+string(check)+"] https://mx.empresa.test/why/"+rec.ID.String()
}

func picture(t *testing.T, file string) image.Image {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func same(a, b color.Color) bool {
	ar, ag, ab, _ := a.RGBA()
	br, bg, bb, _ := b.RGBA()
	return ar == br && ag == bg && ab == bb
}

var tags = regexp.MustCompile(`(?s)<style>.*?</style>|<[^>]*>`)

// textOf is what is read of a page.
func textOf(dom string) string {
	dom = tags.ReplaceAllString(dom, "")
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&", "&nbsp;", " ").Replace(dom)
}

// The colours of text and links stand out against their ground as WCAG 2.2 §1.4.3
// (AA) wants: 4.5 to 1, by day and by night.
func TestContrast(t *testing.T) {
	css, err := pages.ReadFile("frame.html")
	if err != nil {
		t.Fatal(err)
	}
	schemes := regexp.MustCompile(`:root \{[^}]*--ink[^}]*\}`).FindAllString(string(css), -1)
	if len(schemes) != 2 {
		t.Fatalf("%d schemes of colours", len(schemes))
	}
	for _, s := range schemes {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--(\w+): #([0-9a-f]{3,6})`).FindAllStringSubmatch(s, -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, text := range []string{"ink", "soft", "link"} {
			for _, ground := range []string{"paper", "shade"} {
				a, b := colours[text]+0.05, colours[ground]+0.05
				if r := max(a, b) / min(a, b); r < 4.5 {
					t.Errorf("%s on %s is %.2f to 1 in %s", text, ground, r, s)
				}
			}
		}
	}
}

// luminance is that of WCAG 2.2, from 0 (black) to 1 (white).
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = strings.Join([]string{hex[:1], hex[:1], hex[1:2], hex[1:2], hex[2:], hex[2:]}, "")
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	linear := func(c uint64) float64 {
		v := float64(c&0xff) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(n>>16) + 0.7152*linear(n>>8) + 0.0722*linear(n)
}
