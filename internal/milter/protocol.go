package milter

// Version is the protocol that we offer; milters from minVersion on are spoken to.
const (
	Version    = 6
	minVersion = 2
)

// Commands, from us to the milter (SMFIC_*).
const (
	cmdAbort   = 'A'
	cmdBody    = 'B'
	cmdConnect = 'C'
	cmdMacros  = 'D'
	cmdEnd     = 'E' // end of body
	cmdHelo    = 'H'
	cmdQuitNC  = 'K' // quit, and a new connection follows
	cmdHeader  = 'L'
	cmdMail    = 'M'
	cmdEOH     = 'N'
	cmdOptions = 'O'
	cmdQuit    = 'Q'
	cmdRcpt    = 'R'
	cmdData    = 'T'
)

// Replies, from the milter to us (SMFIR_*).
const (
	replyAddRcpt      = '+'
	replyDelRcpt      = '-'
	replyAddRcptPar   = '2'
	replyShutdown     = '4'
	replyAccept       = 'a'
	replyReplaceBody  = 'b'
	replyContinue     = 'c'
	replyDiscard      = 'd'
	replyChangeFrom   = 'e'
	replyConnFail     = 'f'
	replyAddHeader    = 'h'
	replyInsertHeader = 'i'
	replyChangeHeader = 'm'
	replyProgress     = 'p'
	replyQuarantine   = 'q'
	replyReject       = 'r'
	replySkip         = 's'
	replyTempFail     = 't'
	replyCode         = 'y'
)

// Actions are the edits that a milter may ask for (SMFIF_*).
type Actions uint32

// The bits of Actions.
const (
	MayAddHeaders Actions = 1 << iota
	MayChangeBody
	MayAddRcpt
	MayDelRcpt
	MayChangeHeaders
	MayQuarantine
	MayChangeFrom
	MayAddRcptPar
	MayAskMacros // SMFIF_SETSYMLIST: the milter lists the macros that it wants

	allActions = 1<<iota - 1
)

// Steps are the events that a milter does not want to be told of, the replies
// that it will not send, and two habits (SMFIP_*).
type Steps uint32

// The bits of Steps.
const (
	NoConnect Steps = 1 << iota
	NoHelo
	NoMail
	NoRcpt
	NoBody
	NoHeaders
	NoEOH
	SilentHeader
	NoUnknown
	NoData
	CanSkip       // we understand "skip"
	RejectedRcpts // not offered
	SilentConnect
	SilentHelo
	SilentMail
	SilentRcpt
	SilentData
	SilentUnknown
	SilentEOH
	SilentBody
	LeadingSpace // header values with the white space after the colon

	allSteps     = 1<<iota - 1
	offeredSteps = allSteps &^ RejectedRcpts
)

// Stage is a moment of the dialogue at which macros are told (SMFIM_*).
type Stage uint8

// The stages, with the numbers that the protocol gives them.
const (
	StageConnect Stage = iota
	StageHelo
	StageMail
	StageRcpt
	StageData
	StageEnd
	StageEOH
	stages
	noStage = stages // of events that have no macros
)

// event is one row of the protocol.
type event struct {
	code   byte
	name   string
	off    Steps // the milter does not want it
	silent Steps // the milter does not reply to it
	stage  Stage
	since  uint32 // version of the protocol that brought it
}

// The events, in the order of a dialogue.
var (
	evConnect = event{cmdConnect, "connect", NoConnect, SilentConnect, StageConnect, 2}
	evHelo    = event{cmdHelo, "HELO", NoHelo, SilentHelo, StageHelo, 2}
	evMail    = event{cmdMail, "MAIL", NoMail, SilentMail, StageMail, 2}
	evRcpt    = event{cmdRcpt, "RCPT", NoRcpt, SilentRcpt, StageRcpt, 2}
	evData    = event{cmdData, "DATA", NoData, SilentData, StageData, 4}
	evHeader  = event{cmdHeader, "header", NoHeaders, SilentHeader, noStage, 2}
	evEOH     = event{cmdEOH, "end of header", NoEOH, SilentEOH, StageEOH, 2}
	evBody    = event{cmdBody, "body", NoBody, SilentBody, noStage, 2}
	evEnd     = event{cmdEnd, "end of message", 0, 0, StageEnd, 2}
)
