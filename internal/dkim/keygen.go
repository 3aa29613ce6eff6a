package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// GenerateRSA makes an RSA signing key of 2048 bits, which every verifier accepts
// and whose record fits DNS over UDP.
func GenerateRSA() (*rsa.PrivateKey, error) {
	return rsa.GenerateKey(rand.Reader, goodRSABits)
}

// GenerateEd25519 makes an Ed25519 signing key (RFC 8463), to be used beside an
// RSA key because not every verifier knows it.
func GenerateEd25519() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// MarshalPrivateKey returns key as a PEM block in PKCS #8.
func MarshalPrivateKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("dkim: private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParsePrivateKey reads a signing key from the first PEM block of text: PKCS #8
// or, as older tools write RSA keys, PKCS #1. It refuses keys that Sign refuses.
// Errors never contain key material.
func ParsePrivateKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("dkim: private key: no PEM block")
	}
	var (
		key any
		err error
	)
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, errors.New("dkim: private key: the PEM block is neither PKCS #8 nor PKCS #1")
	}
	if err != nil {
		return nil, errors.New("dkim: private key: the PEM block is damaged or encrypted")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, ErrWeakKey
	}
	if _, err := signingAlgorithm(signer); err != nil {
		return nil, err
	}
	return signer, nil
}

// Record returns the text of the key record to publish for a public key, at
// RecordName(selector, domain).
func Record(pub crypto.PublicKey) (string, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			return "", fmt.Errorf("dkim: public key: %w", err)
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(pub), nil
	}
	return "", ErrWeakKey
}

// SplitTXT splits a record into the character-strings of at most 255 octets that
// a TXT record is made of (RFC 1035 §3.3.14).
func SplitTXT(record string) []string {
	var parts []string
	for len(record) > 255 {
		parts, record = append(parts, record[:255]), record[255:]
	}
	return append(parts, record)
}
