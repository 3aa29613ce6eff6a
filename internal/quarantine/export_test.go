package quarantine

import "context"

// Turn is what Run does each time it looks.
func (k *Keeper) Turn(ctx context.Context) error { return k.turn(ctx) }
