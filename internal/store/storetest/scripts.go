package storetest

import (
	"errors"
	"reflect"
	"testing"

	"posta/internal/store"
)

// testScripts: scripts change with the directory, whose view tells who has any.
func testScripts(t *testing.T, a, b store.Store) {
	d := store.Domain{Name: "scripts.example", Created: epoch}
	ana := store.Account{Login: "ana@scripts.example", Created: epoch}
	changeDirectory(t, a, nil, func(tx store.DirectoryTx) error {
		d.ID, ana.ID = 0, 0
		err := tx.PutDomain(&d)
		ana.Domain = d.ID
		return errors.Join(err, tx.PutAccount(&ana))
	})
	mine, domain := store.ScriptsOf(ana.ID), store.ScriptsOfDomain(d.ID)
	state := func(o store.ScriptOwner) store.ScriptState {
		t.Helper()
		v, err := b.LoadDirectory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return v.Scripts[o]
	}
	version := func() int64 {
		t.Helper()
		v, err := b.DirectoryVersion(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if s := state(mine); s != (store.ScriptState{}) {
		t.Fatalf("before any: %+v", s)
	}

	changeDirectory(t, a, nil, func(tx store.DirectoryTx) error {
		return errors.Join(
			tx.PutScript(store.Script{Owner: mine, Name: "uno", Text: []byte("keep;\r\n"), Active: true}),
			tx.PutScript(store.Script{Owner: mine, Name: "año", Text: nil}),
			tx.PutScript(store.Script{Owner: domain, Name: store.AfterScript, Text: []byte("stop;")}),
			tx.PutScript(store.Script{Owner: 0, Name: store.BeforeScript, Text: []byte("# nothing")}),
			tx.PutScript(store.Script{Owner: 0, Name: "lib", Text: []byte("return;")}),
		)
	})
	v1 := version()
	if got, want := state(mine), (store.ScriptState{Active: "uno", Changed: v1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := state(domain), (store.ScriptState{After: true, Changed: v1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := state(0), (store.ScriptState{Before: true, Changed: v1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	list, err := b.ListScripts(t.Context(), mine)
	want := []store.Script{{Owner: mine, Name: "año", Changed: v1}, {Owner: mine, Name: "uno", Size: 7, Active: true, Changed: v1}}
	if err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, list, want)
	}
	if s, err := b.GetScript(t.Context(), mine, "uno"); err != nil || string(s.Text) != "keep;\r\n" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := b.GetScript(t.Context(), 0, "uno"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another owner's: %v", err)
	}

	// Another becomes the active one; what stays behind is changed too.
	changeDirectory(t, b, nil, func(tx store.DirectoryTx) error {
		s, err := tx.Script(mine, "año")
		s.Active = true
		return errors.Join(err, tx.PutScript(s))
	})
	if got, want := state(mine), (store.ScriptState{Active: "año", Changed: version()}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	changeDirectory(t, a, nil, func(tx store.DirectoryTx) error { return tx.DeleteScript(mine, "año") })
	if got, want := state(mine), (store.ScriptState{Changed: version()}); got != want {
		t.Errorf("after the removal: %+v, want %+v", got, want)
	}
	changeDirectory(t, a, store.ErrNotFound, func(tx store.DirectoryTx) error { return tx.DeleteScript(mine, "año") })
	changeDirectory(t, a, store.ErrNotFound, func(tx store.DirectoryTx) error {
		return tx.PutScript(store.Script{Owner: store.ScriptsOf(ana.ID + 1000), Name: "x"})
	})
	changeDirectory(t, a, store.ErrInvalid, func(tx store.DirectoryTx) error { return tx.PutScript(store.Script{Owner: mine}) })

	// They go with their owner.
	changeDirectory(t, a, nil, func(tx store.DirectoryTx) error { return errors.Join(tx.DeleteAccount(ana.ID), tx.DeleteDomain(d.ID)) })
	for _, o := range []store.ScriptOwner{mine, domain} {
		if list, err := b.ListScripts(t.Context(), o); err != nil || len(list) != 0 {
			t.Errorf("after the owner: %+v, %v", list, err)
		}
	}
}
