package command

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"posta/internal/store"
)

// SRSSetting is the key of the secret by which bounces to mail that we forwarded are
// known (package srs), in hexadecimal.
const SRSSetting = "srs.key"

// SRSKey gives that secret, and makes it if there is none. It is called when a server
// starts; all nodes of a store have the same.
func (h *House) SRSKey(ctx context.Context, p Principal) ([]byte, error) {
	if s := h.Directory.View().Setting(SRSSetting); s != "" {
		return hex.DecodeString(s)
	}
	var key [32]byte
	rand.Read(key[:]) // never fails since Go 1.24
	made := hex.EncodeToString(key[:])
	err := h.change(ctx, p, "srs.key", SRSSetting, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		if s := v.Settings[SRSSetting]; s != "" {
			made = s // another node was first
			return nil, nil, nil
		}
		return nil, "made", tx.PutSetting(SRSSetting, made)
	})
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(made)
}
