package sqlstore

import (
	"context"
	"fmt"

	"posta/internal/store"
)

const scriptColumns = "owner, name, size, active, changed"

func scanScript(r *rows, s *store.Script) error {
	return r.scan(&s.Owner, &s.Name, &s.Size, &s.Active, &s.Changed)
}

// ListScripts implements store.Scripts.
func (s *Store) ListScripts(ctx context.Context, o store.ScriptOwner) (out []store.Script, err error) {
	err = s.main.read(ctx, func(t *tx) error {
		out, err = collect(t, scanScript, "SELECT "+scriptColumns+" FROM script WHERE owner = $1 ORDER BY name", o)
		return err
	})
	return out, err
}

// GetScript implements store.Scripts.
func (s *Store) GetScript(ctx context.Context, o store.ScriptOwner, name string) (out store.Script, err error) {
	err = s.main.read(ctx, func(t *tx) error {
		out, err = script(t, o, name)
		return err
	})
	return out, err
}

func script(t *tx, o store.ScriptOwner, name string) (s store.Script, err error) {
	err = t.row("SELECT "+scriptColumns+", text FROM script WHERE owner = $1 AND name = $2", o, name).
		scan(&s.Owner, &s.Name, &s.Size, &s.Active, &s.Changed, &s.Text)
	if err != nil {
		err = wrap(err, "script %q", name)
	}
	return s, err
}

// loadScripts tells who has scripts.
func loadScripts(t *tx, v *store.DirectoryView) error {
	list, err := collect(t, scanScript, "SELECT "+scriptColumns+" FROM script")
	if len(list) > 0 {
		v.Scripts = map[store.ScriptOwner]store.ScriptState{}
	}
	for _, s := range list {
		state := v.Scripts[s.Owner]
		state.Changed = max(state.Changed, s.Changed)
		if s.Active {
			state.Active = s.Name
		}
		state.Before = state.Before || s.Name == store.BeforeScript
		state.After = state.After || s.Name == store.AfterScript
		v.Scripts[s.Owner] = state
	}
	return err
}

// Scripts implements store.DirectoryTx.
func (d directoryTx) Scripts(o store.ScriptOwner) ([]store.Script, error) {
	return collect(d.t, scanScript, "SELECT "+scriptColumns+" FROM script WHERE owner = $1 ORDER BY name", o)
}

// Script implements store.DirectoryTx.
func (d directoryTx) Script(o store.ScriptOwner, name string) (store.Script, error) {
	return script(d.t, o, name)
}

// owned looks whether the owner of a script is there.
func (d directoryTx) owned(o store.ScriptOwner) error {
	switch {
	case o < 0:
		return d.hasDomain(store.DomainID(-o))
	case o == 0:
		return nil
	}
	var login string
	return d.t.row("SELECT login FROM account WHERE id = $1", int64(o)).scan(&login)
}

// PutScript implements store.DirectoryTx.
func (d directoryTx) PutScript(s store.Script) error {
	if s.Name == "" {
		return fmt.Errorf("%w: a script without a name", store.ErrInvalid)
	}
	if err := d.owned(s.Owner); err != nil {
		return wrap(err, "script %q of %d", s.Name, s.Owner)
	}
	if s.Active {
		if _, err := d.t.exec("UPDATE script SET active = 0, changed = (SELECT version FROM directory WHERE one = 1) WHERE owner = $1 AND active <> 0", s.Owner); err != nil {
			return err
		}
	}
	text := s.Text
	if text == nil {
		text = []byte{}
	}
	_, err := d.t.exec(`INSERT INTO script (owner, name, text, size, active, changed) VALUES ($1, $2, $3, $4, $5, (SELECT version FROM directory WHERE one = 1))
		ON CONFLICT (owner, name) DO UPDATE SET text = excluded.text, size = excluded.size, active = excluded.active, changed = excluded.changed`,
		s.Owner, s.Name, text, len(text), s.Active)
	return err
}

// DeleteScript implements store.DirectoryTx. The others of the owner's are changed with it:
// they may have included it.
func (d directoryTx) DeleteScript(o store.ScriptOwner, name string) error {
	n, err := d.t.exec("DELETE FROM script WHERE owner = $1 AND name = $2", o, name)
	if err == nil && n == 0 {
		return wrap(store.ErrNotFound, "script %q", name)
	}
	if err == nil {
		_, err = d.t.exec("UPDATE script SET changed = (SELECT version FROM directory WHERE one = 1) WHERE owner = $1", o)
	}
	return err
}
