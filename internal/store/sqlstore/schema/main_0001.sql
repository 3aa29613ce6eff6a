-- Both engines read this file. {key} {bytes} {clustered} {octets} stand for what they call
-- differently; lines that begin with "--pg " or "--sqlite " are for one of them.
-- Times are microseconds since 1970, 0 is none. Flags and enums are small ints.

-- Ids that are never used again. SQLite: next is the first that is not reserved.
--sqlite CREATE TABLE sequence (name TEXT PRIMARY KEY, next BIGINT NOT NULL) WITHOUT ROWID;

-- Directory ------------------------------------------------------------------

CREATE TABLE directory (
	one     {key} CHECK (one = 1),
	version BIGINT NOT NULL
);
INSERT INTO directory (one, version) VALUES (1, 1);

CREATE TABLE domain (
	id      {key},
	tenant  BIGINT NOT NULL,
	name    TEXT NOT NULL UNIQUE,
	created BIGINT NOT NULL
);

CREATE TABLE account (
	id       {key},
	tenant   BIGINT NOT NULL,
	domain   BIGINT NOT NULL,
	login    TEXT NOT NULL UNIQUE,
	name     TEXT NOT NULL,
	password TEXT NOT NULL,
	role     SMALLINT NOT NULL,
	quota    BIGINT NOT NULL,
	disabled SMALLINT NOT NULL,
	created  BIGINT NOT NULL
);
CREATE INDEX account_domain ON account (domain);

CREATE TABLE address (
	domain  BIGINT NOT NULL,
	local   TEXT NOT NULL,
	kind    SMALLINT NOT NULL,
	account BIGINT NOT NULL,
	targets TEXT NOT NULL, -- JSON list
	PRIMARY KEY (domain, local)
) {clustered};
CREATE INDEX address_account ON address (account);

CREATE TABLE dkim_key (
	domain    BIGINT NOT NULL,
	selector  TEXT NOT NULL,
	algorithm TEXT NOT NULL,
	private   {bytes} NOT NULL,
	active    SMALLINT NOT NULL,
	created   BIGINT NOT NULL,
	PRIMARY KEY (domain, selector)
) {clustered};

CREATE TABLE setting (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) {clustered};

CREATE TABLE audit (
	id        {key},
	at        BIGINT NOT NULL,
	principal TEXT NOT NULL,
	tenant    BIGINT NOT NULL,
	command   TEXT NOT NULL,
	object    TEXT NOT NULL,
	was       TEXT NOT NULL,
	becomes   TEXT NOT NULL
);

-- Mail -----------------------------------------------------------------------

-- The change counter and the usage of an account. Its row is the account's lock.
CREATE TABLE ledger (
	account  {key},
	modseq   BIGINT NOT NULL,
	octets   BIGINT NOT NULL, -- of live placements
	messages BIGINT NOT NULL,
	validity BIGINT NOT NULL, -- highest UIDVALIDITY given in this account
	quota    BIGINT NOT NULL  -- copy of account.quota
);

CREATE TABLE mailbox (
	id          {key},
	account     BIGINT NOT NULL,
	name        TEXT NOT NULL,
	role        SMALLINT NOT NULL,
	uidvalidity BIGINT NOT NULL,
	created     BIGINT NOT NULL,
	doomed      SMALLINT NOT NULL, -- 1: DeleteMailbox is at work on it
	-- counters, written back once a transaction (counters.go)
	uidnext     BIGINT NOT NULL,
	highmodseq  BIGINT NOT NULL,
	live        BIGINT NOT NULL, -- live placements
	unseen      BIGINT NOT NULL, -- of these without \Seen
	size        BIGINT NOT NULL, -- octets of live placements
	tombs       BIGINT NOT NULL, -- expunged placements still known
	floor       BIGINT NOT NULL  -- MODSEQ up to which expunged ones may be forgotten
);
CREATE UNIQUE INDEX mailbox_name ON mailbox (account, name);
CREATE UNIQUE INDEX mailbox_role ON mailbox (account, role) WHERE role <> 0;

CREATE TABLE subscription (
	account BIGINT NOT NULL,
	name    TEXT NOT NULL,
	PRIMARY KEY (account, name)
) {clustered};

-- A message of an account, without what changes. It goes with its last live
-- placement; whoever deletes the row puts its blob into loose_blob.
CREATE TABLE email (
	id        {key},
	account   BIGINT NOT NULL,
	thread    BIGINT NOT NULL,
	blob      {bytes} NOT NULL,
	skip      BIGINT NOT NULL,
	size      BIGINT NOT NULL, -- prefix + blob - skip
	sent      BIGINT NOT NULL,
	preview   TEXT NOT NULL,
	prefix    {bytes} NOT NULL,
	envelope  {bytes} NOT NULL,
	structure {bytes} NOT NULL
);
CREATE INDEX email_blob ON email (blob);

-- What changes of a message lies here, so that listing flags reads short rows.
CREATE TABLE placement (
	mailbox  BIGINT NOT NULL,
	uid      BIGINT NOT NULL,
	modseq   BIGINT NOT NULL,
	email    BIGINT NOT NULL,
	state    SMALLINT NOT NULL, -- 0 live, 1 expunged, 2 held
	flags    SMALLINT NOT NULL,
	size     BIGINT NOT NULL,
	received BIGINT NOT NULL, -- INTERNALDATE
	saved    BIGINT NOT NULL, -- SAVEDATE
	keywords TEXT NOT NULL,   -- parted by a space
	PRIMARY KEY (mailbox, uid)
) {clustered};
CREATE INDEX placement_modseq ON placement (mailbox, modseq);
CREATE INDEX placement_tomb ON placement (mailbox, modseq) WHERE state = 1;

CREATE TABLE blob (
	id     {bytes} PRIMARY KEY,
	unit   TEXT NOT NULL,
	at     BIGINT NOT NULL,
	length BIGINT NOT NULL,
	size   BIGINT NOT NULL,
	sha256 {bytes} NOT NULL,
	doomed BIGINT NOT NULL -- when; 0: alive
) {clustered};
CREATE INDEX blob_doomed ON blob (doomed, id) WHERE doomed <> 0;

-- Blobs that lost a reference and may have none left: what Doom looks at.
CREATE TABLE loose_blob (
	blob {bytes} PRIMARY KEY
) {clustered};

-- Accepts and traces ---------------------------------------------------------

-- One row for each accept: that it was committed, how a repeat is recognised, and
-- why it was accepted.
CREATE TABLE accepted (
	id      {bytes} PRIMARY KEY, -- mail.ID
	confirm {bytes} NOT NULL,    -- ConfirmKeys, 16 octets each
	terms   TEXT NOT NULL,       -- search keys of the trace, parted by LF
	body    {bytes} NOT NULL     -- the trace, empty if none is kept
) {clustered};

CREATE TABLE unconfirmed (
	hash   {bytes} PRIMARY KEY,
	accept {bytes} NOT NULL,
	at     BIGINT NOT NULL
) {clustered};
CREATE INDEX unconfirmed_at ON unconfirmed (at);

CREATE TABLE trace_event (
	accept {bytes} NOT NULL,
	id     BIGINT NOT NULL,
	at     BIGINT NOT NULL,
	body   {bytes} NOT NULL,
	PRIMARY KEY (accept, id)
) {clustered};

-- Queue and jobs -------------------------------------------------------------

CREATE TABLE queue_group (
	id           {key},
	accept       {bytes} NOT NULL,
	blob         {bytes} NOT NULL,
	reverse_path TEXT NOT NULL,
	prefix       {bytes} NOT NULL,
	skip         BIGINT NOT NULL,
	envid        TEXT NOT NULL,
	options      SMALLINT NOT NULL, -- 1 RET=FULL, 2 8BITMIME, 4 SMTPUTF8, 8 REQUIRETLS, 16 sign
	account      BIGINT NOT NULL,
	expires      BIGINT NOT NULL,
	created      BIGINT NOT NULL,
	waiting      BIGINT NOT NULL -- entries that are not finished; the row goes with the last
);
CREATE INDEX queue_group_blob ON queue_group (blob);
CREATE INDEX queue_group_accept ON queue_group (accept);

CREATE TABLE queue_entry (
	id       {key},
	grp      BIGINT NOT NULL,
	address  TEXT NOT NULL,
	domain   TEXT NOT NULL,
	original TEXT NOT NULL,
	notify   SMALLINT NOT NULL,
	kind     SMALLINT NOT NULL,
	state    SMALLINT NOT NULL,
	due      BIGINT NOT NULL, -- of a leased entry: when the lease ends
	leased   SMALLINT NOT NULL,
	node     TEXT NOT NULL,
	fence    BIGINT NOT NULL,
	sending  SMALLINT NOT NULL,
	attempts BIGINT NOT NULL,
	delayed  SMALLINT NOT NULL,
	last     TEXT NOT NULL,
	last_at  BIGINT NOT NULL
);
CREATE INDEX queue_entry_grp ON queue_entry (grp);
CREATE INDEX queue_entry_due ON queue_entry (due) WHERE state = 0;
CREATE INDEX queue_entry_domain ON queue_entry (domain, leased, due) WHERE state = 0;

-- Rows to lock where claims of all nodes must see each other (queue_claim.go).
CREATE TABLE latch (name TEXT PRIMARY KEY) {clustered};
INSERT INTO latch (name) VALUES ('queue'), ('job');

CREATE TABLE job (
	id     {key},
	name   TEXT NOT NULL UNIQUE, -- Job.Key
	kind   TEXT NOT NULL,
	due    BIGINT NOT NULL, -- of a leased job: when the lease ends
	node   TEXT NOT NULL,   -- '' when not leased
	fence  BIGINT NOT NULL,
	tries  BIGINT NOT NULL,
	data   {bytes} NOT NULL,
	cursor {bytes} NOT NULL,
	last   TEXT NOT NULL
);
CREATE INDEX job_due ON job (kind, due);

--pg CREATE SEQUENCE seq_email INCREMENT BY 64;
--pg CREATE SEQUENCE seq_mailbox INCREMENT BY 64;
--pg CREATE SEQUENCE seq_account INCREMENT BY 64;
--pg CREATE SEQUENCE seq_domain INCREMENT BY 64;
--pg CREATE SEQUENCE seq_audit INCREMENT BY 64;
--pg CREATE SEQUENCE seq_event INCREMENT BY 64;
--pg CREATE SEQUENCE seq_group INCREMENT BY 64;
--pg CREATE SEQUENCE seq_entry INCREMENT BY 64;
--pg CREATE SEQUENCE seq_job INCREMENT BY 64;
--pg CREATE SEQUENCE seq_fence INCREMENT BY 64;
