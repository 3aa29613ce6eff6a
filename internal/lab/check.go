package lab

import (
	"context"
	"sync"
)

// atOnce is how many scenarios Check plays side by side. Most of them wait: for
// a retry, for the delay of a failed login.
const atOnce = 8

// Check plays all scenarios that are built in and gives what came of each, in
// the order of their names. The error is one of reading them.
func (l *Lab) Check(ctx context.Context) ([]Result, error) {
	all, err := Scenarios()
	if err != nil {
		return nil, err
	}
	out := make([]Result, len(all))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, s := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			out[i] = l.Play(ctx, s)
		})
	}
	wg.Wait()
	return out, nil
}
