// Package storetest is the suite that every engine of the store passes.
//
// It knows the contract only: operations and what they promise. Random
// operations are compared with a plain model; writers and followers run at the
// same time through two handles of one store.
package storetest

import (
	"testing"

	"posta/internal/store"
)

// Open opens a new, empty store and gives two handles of it, which may be the
// same value where one process owns the store. The test closes them.
type Open func(t *testing.T) (a, b store.Store)

// Run holds a store against the contract. Each test has a store of its own.
func Run(t *testing.T, open Open) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a, b store.Store)
	}{
		{"Directory", testDirectory},
		{"DirectoryRandom", testDirectoryRandom},
		{"Scripts", testScripts},
		{"Access", testAccess},
		{"AccessConcurrent", testAccessConcurrent},
		{"Rules", func(t *testing.T, a, b store.Store) { testAccess(t, rulesOf(a), rulesOf(b)) }},
		{"AcceptPlaces", testAcceptPlaces},
		{"AcceptErrors", testAcceptErrors},
		{"AcceptConcurrent", testAcceptConcurrent},
		{"Confirm", testConfirm},
		{"BlobLife", testBlobLife},
		{"Subscribe", testSubscribe},
		{"MailRandom", testMailRandom},
		{"MailConcurrent", testMailConcurrent},
		{"MailSteps", testMailSteps},
		{"MailboxNames", testMailboxNames},
		{"InboxRename", testInboxRename},
		{"UIDValidity", testUIDValidity},
		{"Fetch", testFetch},
		{"Flags", testFlags},
		{"Quota", testQuota},
		{"BlobsOfMail", testBlobsOfMail},
		{"QueueRandom", testQueueRandom},
		{"QueueLife", testQueueLife},
		{"QueueLease", testQueueLease},
		{"QueueFair", testQueueFair},
		{"QueueBatch", testQueueBatch},
		{"QueueConcurrent", testQueueConcurrent},
		{"HeldLife", testHeldLife},
		{"HeldErrors", testHeldErrors},
		{"HeldTold", testHeldTold},
		{"HeldExpiry", testHeldExpiry},
		{"HeldConcurrent", testHeldConcurrent},
		{"Jobs", testJobs},
		{"JobsConcurrent", testJobsConcurrent},
		{"Outbox", testOutbox},
		{"Traces", testTraces},
		{"TracesMany", testTracesMany},
		{"TracesMerged", testTracesMerged},
		{"Facts", testFacts},
		{"FactsConcurrent", testFactsConcurrent},
		{"Reports", testReports},
		{"ReportsConcurrent", testReportsConcurrent},
		{"ReportStates", testReportStates},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			test.run(t, a, b)
		})
	}
}
