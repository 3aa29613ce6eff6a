package config

import "github.com/pelletier/go-toml/v2"

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
	return &out
}

// Text is the configuration in force as posta.toml would say it, without
// secrets.
func (c *Config) Text() (string, error) {
	b, err := toml.Marshal(c.Redacted())
	return string(b), err
}
