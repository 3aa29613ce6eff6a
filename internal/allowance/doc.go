// Package allowance counts the messages that our own accounts submit, so that one
// whose password was taken does less harm (S83, S84): the policy's
// accounts.messages_per_day, or the account's own number.
//
// The day slides, in steps of an hour: the messages of the running hour and of the 24
// before it are counted, so that in no 24 hours there are more than the limit, and a
// message is forgotten 24 to 25 hours after it was sent. One message is one, whatever
// the number of its recipients, which has a limit of its own.
//
// A message is taken at MAIL and given back when it is not accepted, in one change of
// its fact: neither many sessions nor many nodes on one store get more than the limit.
// The counts are in store.Facts: they survive a restart, and a crash loses the last
// second of them. An error of the store is never a reason to put a message off.
package allowance
