package sieve

// listTests is the test of RFC 6134; :list stands with the match types.
func listTests() []spec {
	return []spec{{name: "valid_ext_list", test: true, caps: []string{"extlists"}, args: []kind{strs}, eval: evalValidList}}
}

func evalValidList(r *run, k *call) bool {
	for _, name := range r.texts(k.args[0]) {
		if r.env.Lists == nil || !r.spend(askCost) || !r.env.Lists(name) {
			return false
		}
	}
	return true
}
