package lab

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// world is the one lab of the tests.
var world *Lab

func TestMain(m *testing.M) { os.Exit(inLab(m)) }

func inLab(m *testing.M) int {
	began := time.Now()
	l, err := Start(context.Background(), Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	startTook = time.Since(began)
	world = l
	code := m.Run()
	if err := l.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

var startTook time.Duration

// Every scenario holds. They are played side by side against one lab.
func TestScenarios(t *testing.T) {
	all, err := Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			r := world.Play(t.Context(), s)
			switch {
			case r.Skipped != "" && os.Getenv("POSTA_REQUIRE_PEERS") == "1":
				t.Fatal(r.Skipped)
			case r.Skipped != "":
				t.Skip(r.Skipped)
			case !r.OK:
				t.Error(r.Detail)
			default:
				t.Logf("want %s | got %s", r.Want, r.Got)
			}
		})
	}
}
