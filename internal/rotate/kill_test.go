package rotate_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/durable"
	"posta/internal/rotate"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

// What a life of the program is told: where the store is, the time, the failpoint.
const (
	lifeDir  = "ROTATE_TEST_DIR"
	lifeTime = "ROTATE_TEST_TIME"
	lifeFail = "ROTATE_TEST_FAIL"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(lifeDir); dir != "" {
		if err := live(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// live is one life: the store is opened, and the rotator works once in a world whose
// servers show at once what they should.
func live(dir string) error {
	now, err := time.Parse(time.RFC3339, os.Getenv(lifeTime))
	if err != nil {
		return err
	}
	fail, err := durable.ParseFailpoints(os.Getenv(lifeFail))
	if err != nil {
		return err
	}
	ctx := context.Background()
	st, err := sqlstore.Open(ctx, sqlstore.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer st.Close()
	d, err := directory.Open(ctx, st)
	if err != nil {
		return err
	}
	clock := func() time.Time { return now }
	return rotate.New(rotate.Config{
		House: &command.House{Store: st, Directory: d, Now: clock}, Jobs: st, Servers: obedient{st}, Lifetime: 5 * day, Now: clock, Fail: fail,
	}).Work(ctx)
}

// obedient is a server that shows what the store says.
type obedient struct{ st store.Store }

func (o obedient) Text(ctx context.Context, names []string) (map[string][]rotate.Sight, error) {
	v, err := o.st.LoadDirectory(ctx)
	if err != nil {
		return nil, err
	}
	var selectors []string
	for _, k := range v.Keys {
		selectors = append(selectors, k.Selector)
	}
	shown, err := command.KeyRecords(v, domain, selectors)
	if err != nil {
		return nil, err
	}
	out := map[string][]rotate.Sight{}
	for _, n := range names {
		s := rotate.Sight{Server: "ns1"}
		if text := shown[n]; text != "" {
			s.Records = []string{text}
		}
		out[n] = []rotate.Sight{s}
	}
	return out, nil
}

// peek tells the stage that the store has, "" without a rotation, and how many keys sign.
func peek(t *testing.T, dir string) (stage command.Stage, signing int) {
	t.Helper()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	v, err := st.LoadDirectory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := command.RotationOf(v.Settings, domain)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range v.Keys {
		if k.Active {
			signing++
		}
	}
	return r.Stage, signing
}

// The program is killed (SIGKILL) before or after each step of a rotation. Before it, the
// stage is the one of before; after it, the next one; and the next life goes on.
func TestKilledAtEveryStep(t *testing.T) {
	for _, point := range []string{"rotate.look", "rotate.moved"} {
		t.Run(point, func(t *testing.T) {
			dir := begun(t)
			now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
			life := func(fail string) (killed bool) {
				t.Helper()
				c := exec.Command(os.Args[0])
				c.Env = append(os.Environ(), lifeDir+"="+dir, lifeTime+"="+now.Format(time.RFC3339), lifeFail+"="+fail)
				out, err := c.CombinedOutput()
				if err == nil {
					return false
				}
				if s, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
					t.Fatalf("%v\n%s", err, out)
				}
				return true
			}
			stage, kills := command.StagePublish, 0
			for round := 0; stage != ""; round++ {
				if round > 20 {
					t.Fatalf("it does not end: %s", stage)
				}
				now = now.Add(8 * day)
				if !life(point + "=kill") {
					t.Fatalf("%s: nobody was killed", stage)
				}
				kills++
				after, signing := peek(t, dir)
				if moved := after != stage; moved != (point == "rotate.moved") || signing != 2 {
					t.Fatalf("killed in %s: it is %s, and %d keys sign", stage, after, signing)
				}
				if stage = after; point == "rotate.look" { // the next life gets through
					life("")
					stage, _ = peek(t, dir)
				}
			}
			if kills < 4 { // a life that gets through may take several steps
				t.Errorf("killed only %d times", kills)
			}
		})
	}
}

// begun is the folder of a store in which a rotation begins.
func begun(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	d, err := directory.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	h := &command.House{Store: st, Directory: d, Now: func() time.Time { return time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC) }}
	for _, c := range [][2]string{{"domain.add", `{"name":"example.org"}`}, {"dkim.add", `{"domain":"example.org"}`}, {"dkim.rotate", `{"domain":"example.org"}`}} {
		if _, err := command.Do(t.Context(), h, owner, c[0], []byte(c[1])); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
