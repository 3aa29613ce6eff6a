package command

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"posta/internal/standing"
	"posta/internal/store"
)

// Enrolment is a service of a provider or list in which a sender does well to be
// enrolled (CH-REP-03), and how far we are. Nobody but the administrator knows that; he notes it.
type Enrolment struct {
	Name  string    `json:"name"` // key of the words below "enrolment."
	Page  string    `json:"page"`
	State string    `json:"state"` // "none", "asked", "done", "refused", "unwanted"
	Note  string    `json:"note,omitempty"`
	At    time.Time `json:"at,omitzero"` // when the state was noted
	By    string    `json:"by,omitempty"`
}

// enrolments are those that we know, as of 2026-11.
var enrolments = [...]Enrolment{
	{Name: "dnswl", Page: "https://www.dnswl.org/?page_id=2087"},
	{Name: "postmaster-tools", Page: "https://postmaster.google.com/"},
	{Name: "snds", Page: "https://sendersupport.olc.protection.outlook.com/snds/"},
	{Name: "jmrp", Page: "https://sendersupport.olc.protection.outlook.com/snds/JMRP.aspx"},
	{Name: "yahoo-cfl", Page: "https://senders.yahooinc.com/complaint-feedback-loop/"},
}

var enrolmentStates = []string{"none", "asked", "done", "refused", "unwanted"}

// enrolmentSetting is the directory's setting that holds what was noted, as JSON by name.
const enrolmentSetting = "enrolments"

// Reputation is how the world sees us.
type Reputation struct {
	Lists      []standing.State `json:"lists"`   // what one must act on first
	Changes    []standing.State `json:"changes"` // of the last 30 days
	Enrolments []Enrolment      `json:"enrolments"`
}

// EnrolmentNote says how far an enrolment is.
type EnrolmentNote struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Note  string `json:"note,omitempty"`
}

var reputationCommands = []Command{
	run("reputation.show", store.Helpdesk, showReputation),
	run("reputation.enrol", store.Owner, noteEnrolment),
}

func showReputation(ctx context.Context, h *House, _ Principal, _ struct{}) (any, error) {
	lists, err := standing.States(ctx, h.Store)
	if err != nil {
		return nil, err
	}
	changes, err := standing.Changes(ctx, h.Store, h.now().AddDate(0, 0, -30))
	if err != nil {
		return nil, err
	}
	return Reputation{lists, changes, h.enrolments()}, nil
}

// enrolments joins what we know of with what was noted.
func (h *House) enrolments() []Enrolment {
	noted := notedEnrolments(h.Directory.View().Setting(enrolmentSetting))
	out := slices.Clone(enrolments[:])
	for i := range out {
		out[i].State = "none"
		if n, ok := noted[out[i].Name]; ok {
			n.Name, n.Page = out[i].Name, out[i].Page
			out[i] = n
		}
	}
	return out
}

func notedEnrolments(setting string) map[string]Enrolment {
	noted := map[string]Enrolment{}
	_ = json.Unmarshal([]byte(setting), &noted) // "" is none
	return noted
}

func noteEnrolment(ctx context.Context, h *House, p Principal, a EnrolmentNote) (any, error) {
	if !slices.ContainsFunc(enrolments[:], func(e Enrolment) bool { return e.Name == a.Name }) {
		names := make([]string, len(enrolments))
		for i := range enrolments {
			names[i] = enrolments[i].Name
		}
		return nil, fail(ErrUsage, "error.enrolment.name", a.Name, strings.Join(names, ", "))
	}
	if !slices.Contains(enrolmentStates, a.State) {
		return nil, fail(ErrUsage, "error.enrolment.state", a.State, strings.Join(enrolmentStates, ", "))
	}
	if len(a.Note) > maxNote {
		return nil, fail(ErrUsage, "error.enrolment.note", maxNote)
	}
	err := h.change(ctx, p, "reputation.enrol", a.Name, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		noted := notedEnrolments(v.Settings[enrolmentSetting])
		before := noted[a.Name]
		after := Enrolment{Name: a.Name, State: a.State, Note: a.Note, At: h.now().UTC(), By: p.Name}
		noted[a.Name] = after
		b, err := json.Marshal(noted)
		if err != nil {
			return nil, nil, err
		}
		return before, after, tx.PutSetting(enrolmentSetting, string(b))
	})
	return h.enrolments(), err
}
