package config

import (
	"net/url"

	"posta/internal/updates"
)

// Daily is what is watched over each day, and the letter about it.
type Daily struct {
	// Letter to the owners of the house: "always", "changes" (when something has changed
	// or waits), "off". Default "always".
	Letter string `toml:"letter"`
	// BackupDays is from what age of the last posta backup on it is told, in days. Default 8; 0:
	// copies are made otherwise.
	BackupDays int `toml:"backup_days"`
	// TimeServers are asked once a day how wrong our clock is. Default "pool.ntp.org"; none: nobody is asked.
	TimeServers []string `toml:"time_servers"`
	// Updates is the https address of a signed announcement of releases. Default none: nobody is asked.
	Updates string `toml:"updates"`
	// UpdatesKey is the Ed25519 key that it is signed with, in base64.
	UpdatesKey string `toml:"updates_key"`
}

func (c *Config) checkDaily(bad func(key, format string, a ...any)) {
	switch c.Daily.Letter {
	case "always", "changes", "off":
	default:
		bad("daily.letter", "%q is not one of always, changes, off", c.Daily.Letter)
	}
	if c.Daily.BackupDays < 0 {
		bad("daily.backup_days", "days, or 0 where copies are made otherwise")
	}
	if len(c.Daily.TimeServers) > 8 {
		bad("daily.time_servers", "at most 8")
	}
	if c.Daily.Updates == "" {
		return
	}
	if u, err := url.Parse(c.Daily.Updates); err != nil || u.Scheme != "https" || u.Host == "" {
		bad("daily.updates", "%q is no https address", c.Daily.Updates)
	}
	if _, err := updates.ParseKey(c.Daily.UpdatesKey); err != nil {
		bad("daily.updates_key", "the key that announcements are signed with is needed: %v", err)
	}
}
