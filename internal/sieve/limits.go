package sieve

// Options say how scripts are compiled. The zero value allows every extension and
// has sound limits.
type Options struct {
	Limits Limits
	// Without lists capabilities that scripts may not require here, e.g.
	// "vnd.posta.filter" for people who may run no programs.
	Without []string
}

// Limits bound what a script may cost, when it is compiled and each time it runs.
// A zero field means its default, which stands with it.
type Limits struct {
	Script    int // octets of the source, 256 KiB
	String    int // octets of one string in it, 64 KiB
	List      int // members of one list of strings, 1,000
	Args      int // arguments of one command or test, 32
	Nesting   int // depth of blocks and tests together, 32 (RFC 5228 §2.10.5 wants 15)
	Commands  int // commands and tests in a script, 10,000
	Regex     int // octets of a regular expression, 1,024
	Variables int // variables of a script, and global ones, 256 (RFC 5229 §6 wants 128)
	Value     int // octets of a variable's value, 16 KiB; what is longer is cut (RFC 5229 §6 wants 4,000)

	Steps     int   // commands and tests that a run may take, 20,000
	Work      int64 // octets that a run may look at, 128 million; patterns count more
	Actions   int   // actions of a run, 100
	Redirects int   // of them redirects, 10
	Notices   int   // of them notifications, 5
	Includes  int   // scripts that a run includes, 100
	Depth     int   // scripts that include each other, 10
	Body      int64 // octets of decoded text of a message that "body" looks at, 1 MiB
}

// orDefaults fills what is zero.
func (l Limits) orDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&l.Script, 256 << 10}, {&l.String, 64 << 10}, {&l.List, 1000}, {&l.Args, 32}, {&l.Nesting, 32},
		{&l.Commands, 10_000}, {&l.Regex, 1024}, {&l.Variables, 256}, {&l.Value, 16 << 10},
		{&l.Steps, 20_000}, {&l.Actions, 100}, {&l.Redirects, 10}, {&l.Notices, 5}, {&l.Includes, 100}, {&l.Depth, 10},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if l.Work == 0 {
		l.Work = 128_000_000
	}
	if l.Body == 0 {
		l.Body = 1 << 20
	}
	return l
}
