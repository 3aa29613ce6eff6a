package admit

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Argon2id with the parameters that OWASP and RFC 9106 §4 name for servers with
// little memory: 19 MiB, two passes, one lane. What is stored says its own
// parameters, so these may change.
const (
	argonMemory = 19 * 1024 // KiB
	argonTime   = 2
	argonLanes  = 1
	saltBytes   = 16
	hashBytes   = 32
)

// Bounds on stored parameters: a hash from outside must not make a login cost a
// minute or a gigabyte.
const (
	maxArgonMemory = 256 * 1024 // KiB
	maxArgonTime   = 16
)

// ErrHash says that a stored password is not a hash that can be verified.
var ErrHash = errors.New("admit: stored password is no Argon2id hash")

// HashPassword makes the PHC string that the directory keeps. It takes about 19
// MiB and some 20 ms of one core.
func HashPassword(password string) string {
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	sum := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, hashBytes)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b64(salt), b64(sum))
}

// verify compares in constant time.
func verify(phc, password string) (bool, error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, ErrHash
	}
	var version, memory, passes, lanes int
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false, ErrHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &lanes); err != nil {
		return false, ErrHash
	}
	if memory < 8 || memory > maxArgonMemory || passes < 1 || passes > maxArgonTime || lanes < 1 || lanes > 8 {
		return false, ErrHash
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(want) < 16 || len(want) > 64 {
		return false, ErrHash
	}
	got := argon2.IDKey([]byte(password), salt, uint32(passes), uint32(memory), uint8(lanes), uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// RandomPassword is a password that a person can copy: 20 characters, about 100
// bits, none mistaken for another.
func RandomPassword() string {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
	b := make([]byte, 20)
	for i := range b {
		for {
			var c [1]byte
			rand.Read(c[:])
			if n := int(c[0]) & 63; n < len(letters) {
				b[i] = letters[n]
				break
			}
		}
	}
	return string(b)
}
