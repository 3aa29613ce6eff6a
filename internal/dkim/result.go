package dkim

import "time"

// Status is a result word of RFC 8601 §2.7.1.
type Status uint8

const (
	None      Status = iota // the message has no signature
	Pass                    // the signature verified
	Fail                    // header or body differ from what was signed
	Policy                  // it verified but is not acceptable here
	Neutral                 // it proves too little to count, either way
	TempError               // the key could not be fetched now
	PermError               // the signature or its key cannot be used
)

var statusWords = [...]string{"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"}

// String returns the word for Authentication-Results.
func (s Status) String() string {
	if int(s) < len(statusWords) {
		return statusWords[s]
	}
	return "permerror"
}

// Reason tells why a signature is not a plain pass. The values are stable: they
// are stored and counted.
type Reason string

const (
	ReasonNone              Reason = ""
	ReasonSyntax            Reason = "syntax"             // the field is malformed or lacks a tag
	ReasonVersion           Reason = "version"            // v= is not 1
	ReasonAlgorithm         Reason = "algorithm"          // unknown a=, c= or q=
	ReasonSHA1              Reason = "sha1"               // rsa-sha1 (RFC 8301 §3.1)
	ReasonFromUnsigned      Reason = "from-unsigned"      // h= lacks From
	ReasonDomainMismatch    Reason = "domain-mismatch"    // i= is not within d=, or not equal under t=s
	ReasonExpired           Reason = "expired"            // x= has passed
	ReasonFuture            Reason = "future"             // t= is more than an hour ahead
	ReasonLengthTag         Reason = "l-tag"              // l= leaves the end of the body open
	ReasonBudget            Reason = "budget"             // the field or header block is over our limits
	ReasonKeyMissing        Reason = "key-missing"        // no key record
	ReasonKeyMultiple       Reason = "key-multiple"       // more than one key record
	ReasonKeyUnavailable    Reason = "key-unavailable"    // the lookup failed for now
	ReasonKeyRevoked        Reason = "key-revoked"        // empty p=
	ReasonKeySyntax         Reason = "key-syntax"         // the record cannot be parsed
	ReasonKeyWeak           Reason = "key-weak"           // RSA below 1024 bits (RFC 8301 §3.2)
	ReasonKeyTooLarge       Reason = "key-too-large"      // RSA above 8192 bits
	ReasonKeyInapplicable   Reason = "key-inapplicable"   // k=, h= or s= of the key forbid this use
	ReasonBodyMismatch      Reason = "body-hash-mismatch" // the body was changed
	ReasonSignatureMismatch Reason = "signature-mismatch" // the header was changed, or another key signed
	ReasonTestFlag          Reason = "test-flag"          // it failed under a key in testing (t=y)
)

// Result is the outcome for one DKIM-Signature field. Names are A-labels in
// lower case. Fields that the signature did not get far enough to give are zero.
type Result struct {
	Status Status
	Reason Reason
	// Detail explains the outcome in English, for people. It contains nothing
	// from the message or the DNS.
	Detail string

	SDID     string // d=
	AUID     string // i=, white space removed; "@" + SDID by default
	Selector string // s=

	Algorithm   string // a=, e.g. "rsa-sha256"
	KeyBits     int    // of the public key, if one was found
	Weak        bool   // RSA below 2048 bits
	Testing     bool   // the key is marked t=y
	HeaderCanon Canonicalization
	BodyCanon   Canonicalization

	SignedHeaders []string // h= in its order
	SignsFrom     bool
	BodyLength    int64     // l=, or -1
	BodyBeyond    int64     // with l=: canonical octets of the body that nobody signed
	Signed        time.Time // t=, or zero
	Expires       time.Time // x=, or zero

	// KeyName is where the key was looked up, KeyText the record found there, or the
	// first one that cannot be used. KeyErr tells why the lookup failed. A stranger
	// wrote the text: it may be long and hold anything.
	KeyName string
	KeyText string
	KeyErr  error

	Instance        int    // i= of an ARC field, 1 to 50
	ChainValidation string // cv= of an ARC-Seal: "none", "pass" or "fail"

	Signature    []byte // b= decoded
	WantBodyHash []byte // bh= decoded
	GotBodyHash  []byte // of the body seen; nil if there was no need to compute it

	// Offset is where the DKIM-Signature field starts in the header block.
	Offset int
}

func (r *Result) set(s Status, why Reason, detail string) {
	r.Status, r.Reason, r.Detail = s, why, detail
}

// verdict is why something cannot be used; nil means that it can.
type verdict struct {
	status Status
	reason Reason
	detail string
}

func perm(why Reason, detail string) *verdict { return &verdict{PermError, why, detail} }
