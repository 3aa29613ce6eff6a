#!/bin/bash
# Posta beside a Postfix that judges too, in turn, in one run: Debian's opendkim and
# opendmarc as milters and postfix-policyd-spf-python as policy server. Both verify
# SPF, DKIM and DMARC of each message; Posta does the rest of its judgement besides.
#
#   HARNESS=.../bench bench/milters.sh [ROUNDS]     as root, with iproute2 and Go
#
# The three helpers count in Postfix's cgroup. See beside.sh for the environment.
set -eu
. "$(dirname "$0")/beside.sh"
export OUT=$BENCH/milters.jsonl
M=$BENCH/milters
mkdir -p "$M"

# No helper may take loopback for its own house: here it is the world.
echo 192.0.2.1 >"$M/internal"
cat >"$M/opendkim.conf" <<END
Mode v
Socket inet:8891@127.0.0.1
InternalHosts refile:$M/internal
PeerList refile:$M/internal
AlwaysAddARHeader yes
AuthservID mx.example.test
Syslog no
Nameservers 127.0.0.1
On-DNSError accept
END
cat >"$M/opendmarc.conf" <<END
Socket inet:8893@127.0.0.1
AuthservID mx.example.test
TrustedAuthservIDs mx.example.test
IgnoreHosts $M/internal
SPFSelfValidate false
Syslog false
END
cat >"$M/spf.conf" <<END
debugLevel = 0
TestOnly = 1
HELO_reject = Fail
Mail_From_reject = Fail
Header_Type = AR
Authserv_Id = mx.example.test
skip_addresses = 192.0.2.1
END
chmod -R a+rX "$M"
export POSTFIX_EXTRA="smtpd_milters = inet:127.0.0.1:8891, inet:127.0.0.1:8893
milter_default_action = tempfail
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_policy_service unix:private/policyd-spf
policyd-spf_time_limit = 3600"

helpers=
start_postfix() {
	echo "policyd-spf unix - n n - 0 spawn user=nobody argv=/usr/bin/policyd-spf $M/spf.conf" >>"$BENCH/postfix/etc/master.cf"
	local g
	g=$("$POSTFIX" cgroup)
	sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$g" $RUNNER opendkim -f -x "$M/opendkim.conf" &
	helpers="$helpers $!"
	sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$g" $RUNNER opendmarc -f -c "$M/opendmarc.conf" &
	helpers="$helpers $!"
	sleep 1
	"$POSTFIX" start
}
stop_postfix() {
	# That the helpers judged: the last message has their fields.
	local last
	last=$(find "$BENCH/postfix/mail" -type f 2>/dev/null | tail -n 1)
	[ -z "$helpers" ] || [ -z "$last" ] || grep -c -E 'spf=pass|dkim=pass|dmarc=pass' "$last" | sed 's/^/fields of the helpers in a message: /'
	"$POSTFIX" stop
	[ -z "$helpers" ] || kill $helpers 2>/dev/null || true
	helpers=
}

prepare
rounds "${1:-3}"
