// Package reflector writes the answer of check-auth@: everything that was found
// about a message, for the person who sent it to see his mail as a receiver sees it
// (S42). It is plain text, in the language that the message asks for, or in all that
// Posta speaks.
//
// It writes and looks nothing up; whether a message is answered at all is decided
// where it is accepted. What it needs for that is here too: Automatic says what no
// program may answer (RFC 3834 §2).
//
// The answer goes to a sender that has proved who it is, so it shows more than the
// page of a refusal: what is judged of content (finding.ToProven), but not what is
// ours (finding.ToNobody).
package reflector
