package app

import (
	"context"
	"log/slog"
	"time"

	"posta/internal/command"
	"posta/internal/config"
)

// explainer explains mail on a folder where no server runs: it joins the parts that
// judge when it is asked, with the configuration that a server would have.
func explainer(cfg *config.Config, st *State) func(context.Context, command.Question) (*command.Explanation, error) {
	return func(ctx context.Context, q command.Question) (*command.Explanation, error) {
		s := &server{cfg: cfg, opt: Options{Now: time.Now}, log: slog.New(slog.DiscardHandler), state: st, house: st.House()}
		if err := s.joinIntake(ctx); err != nil {
			return nil, err
		}
		return s.in.Explain(ctx, q)
	}
}

// routeExplainer tells where mail would go, on a folder where no server runs.
func routeExplainer(cfg *config.Config, st *State) func(context.Context, string) (*command.RoutePlan, error) {
	return func(ctx context.Context, domain string) (*command.RoutePlan, error) {
		s := &server{cfg: cfg, opt: Options{Now: time.Now}, log: slog.New(slog.DiscardHandler), state: st, house: st.House()}
		var err error
		if s.dns, err = s.newResolver(); err != nil {
			return nil, err
		}
		if err := s.joinPublished(); err != nil {
			return nil, err
		}
		return s.explainRoute(ctx, domain)
	}
}
