package config

import "time"

// Bounds of [trace].
const (
	minTraceKeep, maxTraceKeep = 24 * time.Hour, 3660 * 24 * time.Hour
	minTraceSize               = 16 << 20
)

func (c *Config) checkTrace(bad func(key, format string, a ...any)) {
	if v := time.Duration(c.Trace.Keep); v < minTraceKeep || v > maxTraceKeep {
		bad("trace.keep", "%s is out of range: from %s to %s", short(v), short(minTraceKeep), short(maxTraceKeep))
	}
	if c.Trace.Size < minTraceSize {
		bad("trace.size", "%d octets are too few: at least \"16 MiB\"", c.Trace.Size)
	}
}
