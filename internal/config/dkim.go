package config

import "time"

// DKIM is how keys are looked after.
type DKIM struct {
	// Rotate is the age at which the keys of a domain are replaced by themselves, in stages
	// that break no mail, where a dns.provider keeps the domain's zone; elsewhere a rotation
	// would wait for a person who did not ask for it. "0s" is never; otherwise from 720h
	// (30 days) to 87600h. Default 6480h, nine months: keys should not grow older than a year
	// (M3AAWG), and a rotation takes about three weeks.
	Rotate Duration `toml:"rotate"`
}

// Bounds of [dkim].
const (
	minRotate, maxRotate = 30 * 24 * time.Hour, 3650 * 24 * time.Hour
	defaultRotate        = 270 * 24 * time.Hour
)

func (c *Config) checkDKIM(bad func(key, format string, a ...any)) {
	if v := time.Duration(c.DKIM.Rotate); v != 0 && (v < minRotate || v > maxRotate) {
		bad("dkim.rotate", "%s is out of range: \"0s\" (never), or from %s to %s", short(v), short(minRotate), short(maxRotate))
	}
}
