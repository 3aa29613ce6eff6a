// Package edit changes the header of a message as a value: fields are added, deleted,
// replaced and renamed. What is not touched keeps its octets, so signatures over it
// stay valid; nothing is written over.
//
// Standards: RFC 5322 §2.1.1 and §2.2.3 (lines and folding), RFC 2047 (text beyond
// ASCII in fields).
//
// [Header] is a header block that can be edited; [Rehead] gives the tree of a message
// whose header alone was edited, without looking at the body again.
//
// Limits: a header within 256 KiB and 1,000 fields, before and after.
package edit
