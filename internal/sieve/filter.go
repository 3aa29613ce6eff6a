package sieve

// filters is our extension vnd.posta.filter: filter "program" ["argument", …]; puts
// what the program writes in the place of the message, as maildrop's xfilter does. If
// the program cannot do it now, nothing of the run holds, and it is repeated later.
// As a test it is true when the program did it, and a failure leaves the message as it
// was.
func filters() []spec {
	caps := []string{"vnd.posta.filter"}
	args := []kind{str, strs}
	check := func(c *compiler, k *call) {
		if k.args[0].given != k.args[1].given && !k.args[0].given { // one argument: the program
			k.args[0], k.args[1] = k.args[1], value{}
		}
		if len(k.args[0].strs) != 1 {
			c.fail(k.pos, "filter takes the name of one program, then a list of arguments")
		}
	}
	return []spec{
		{name: "filter", caps: caps, args: args, opt: 1, check: check, run: func(r *run, k *call) {
			if err := r.filter(k); err != nil && r.flow == goOn {
				r.fail(k.pos, ErrTryLater, "filter %s: %v", shown(r.text(k.args[0])), err)
			}
		}},
		{name: "filter", test: true, caps: caps, args: args, opt: 1, check: check, eval: func(r *run, k *call) bool {
			err := r.filter(k)
			if err != nil {
				r.tracef(k.pos, "filter: %v", err)
			}
			return err == nil
		}},
	}
}

// maxFilters is how many programs a run may start.
const maxFilters = 10

func (r *run) filter(k *call) error {
	if r.env.Filter == nil {
		r.fail(k.pos, nil, "filter: no programs may be run here")
		return nil
	}
	if r.filters++; r.filters > maxFilters {
		r.fail(k.pos, ErrBudget, "filter: the script starts more than %d programs", maxFilters)
		return nil
	}
	m, err := r.env.Filter(r.text(k.args[0]), r.texts(k.args[1]), r.msg)
	if err == nil && m != nil {
		r.tracef(k.pos, "filter %s", shown(r.text(k.args[0])))
		r.replace(m)
	}
	return err
}
