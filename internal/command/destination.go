package command

import (
	"context"

	"posta/internal/addr"
	"posta/internal/destination"
	"posta/internal/store"
)

// DestinationQuery selects what is told of how others take our mail. The zero value: of
// all domains, the last seven days.
type DestinationQuery struct {
	Days   int    `json:"days,omitempty"` // today is one; 0 means 7, at most 45
	Domain string `json:"domain,omitempty"`
}

// Destinations is what is told.
type Destinations struct {
	Domains []destination.Domain `json:"domains"`
	More    bool                 `json:"more,omitempty"` // there were too many rows to read them all
}

var destinationCommands = []Command{
	run("destination.ls", store.Helpdesk, listDestinations),
}

func listDestinations(ctx context.Context, h *House, _ Principal, q DestinationQuery) (any, error) {
	if q.Days == 0 {
		q.Days = 7
	}
	if q.Days < 0 || q.Days > 45 {
		return nil, fail(ErrUsage, "error.destination.days", q.Days)
	}
	domain := ""
	if q.Domain != "" {
		d, err := addr.ParseDomain(q.Domain)
		if err != nil {
			return nil, fail(ErrUsage, "error.destination.domain", q.Domain, err)
		}
		domain = string(d)
	}
	list, more, err := destination.List(ctx, h.Store, h.now(), q.Days, domain)
	return Destinations{list, more}, err
}
