// Package content reads a message as its reader will: the text that is shown,
// the text that HTML hides, the links with the words that stand on them, and the
// files. What judges a message by its content (spam/learn, spam/links,
// spam/attach) looks at this and not at MIME or HTML again.
//
// Standards: RFC 2045–2049 by way of package message; HTML as browsers read it,
// by the tokenizer of golang.org/x/net/html. Styles count where they stand in
// the element (style, hidden, color, size); style sheets are not computed.
//
// Limits: time is linear in the octets looked at and memory is within Budget,
// whatever the message holds. What lies beyond is left out and Content.Over
// says so; the message is judged by what was seen.
package content
