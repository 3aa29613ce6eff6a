package config

import (
	"net/url"

	"github.com/pelletier/go-toml/v2"
)

// hidden stands where a secret is.
const hidden = "(hidden)"

// Redacted is a copy without secrets.
func (c *Config) Redacted() *Config {
	out := *c
	if s := c.Blobs.S3; s != nil {
		copied := *s
		if copied.SecretKey != "" {
			copied.SecretKey = hidden
		}
		out.Blobs.S3 = &copied
	}
	if u, err := url.Parse(c.Store.PostgreSQL); err == nil {
		if _, secret := u.User.Password(); secret {
			u.User = url.UserPassword(u.User.Username(), "hidden")
			out.Store.PostgreSQL = u.String()
		}
	}
	return &out
}

// Text is the configuration in force as posta.toml would say it, without
// secrets.
func (c *Config) Text() (string, error) {
	b, err := toml.Marshal(c.Redacted())
	return string(b), err
}
