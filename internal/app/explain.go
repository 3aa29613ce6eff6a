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
