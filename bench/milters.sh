#!/bin/bash
# Posta beside a Postfix that judges too, in turn, in one run: Debian's opendkim and
# opendmarc as milters and postfix-policyd-spf-python as policy server. Both verify
# SPF, DKIM and DMARC of each message; Posta does the rest of its judgement besides.
#
#   HARNESS=.../bench bench/milters.sh [ROUNDS]     as root, with iproute2 and Go
#
# The three helpers count in Postfix's cgroup. See compare.sh for HARNESS and the rest.
set -eu
: "${HARNESS:?the folder of the load programs}"
HERE=$(cd "$(dirname "$0")" && pwd)
export BENCH=${BENCH:-${TMPDIR:-/tmp}/bench}
export RUNNER="ip netns exec bench" RUN="nsenter --net=/var/run/netns/bench"
export OUT=$BENCH/milters.jsonl POSTA=$BENCH/posta-bin DNS=127.0.0.1:53
rounds=${1:-3}
M=$BENCH/milters
mkdir -p "$BENCH/bin" "$M"
(cd "$HARNESS" && go build -o "$BENCH/bin/" ./cmd/...)
(cd "$HERE/.." && CGO_ENABLED=0 go build -o "$POSTA" ./cmd/posta)
export PATH=$BENCH/bin:$PATH

ip netns add bench 2>/dev/null || true
$RUNNER ip link set lo up
mkdir -p /etc/netns/bench
echo nameserver 127.0.0.1 >/etc/netns/bench/resolv.conf
$RUNNER dnsstub -key "$BENCH/dkim.pem" &
dns=$!

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
	g=$("$HARNESS/peers/postfix.sh" cgroup)
	sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$g" $RUNNER opendkim -f -x "$M/opendkim.conf" &
	helpers="$helpers $!"
	sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$g" $RUNNER opendmarc -f -c "$M/opendmarc.conf" &
	helpers="$helpers $!"
	sleep 1
	"$HARNESS/peers/postfix.sh" start
}
stop_postfix() {
	"$HARNESS/peers/postfix.sh" stop
	[ -z "$helpers" ] || kill $helpers 2>/dev/null || true
	helpers=
}
cleanup() {
	"$HERE/posta.sh" stop
	stop_postfix
	kill $dns
}
trap cleanup EXIT
sleep 1
: >"$OUT"
for round in $(seq "$rounds"); do
	for peer in postfix posta; do
		script=$HARNESS/peers/postfix.sh port=10025
		[ $peer = posta ] && script=$HERE/posta.sh port=10125
		"$script" clean
		"$script" config
		if [ $peer = postfix ]; then start_postfix; else "$script" start; fi
		for c in ${CS:-1 10 50}; do
			for s in ${SIZES:-4k mix}; do
				$RUN timeout 120 smtpload -sign -key "$BENCH/dkim.pem" -addr 127.0.0.1:$port -srcs 200 \
					-label "$peer c=$c $s" -out "$OUT" -c "$c" -size "$s" -n 1000000 -t "${T:-4s}" -cgroup "$("$script" cgroup)" >/dev/null
				[ $peer = postfix ] && sleep 2 # let the queue empty
			done
		done
		if [ $peer = postfix ]; then
			# That the helpers judged: the last message has their fields.
			last=$(find "$BENCH/postfix/mail" -type f | tail -n 1)
			grep -c -E 'spf=pass|dkim=pass|dmarc=pass' "$last" | sed 's/^/fields of the helpers in a message: /'
			stop_postfix
		else
			"$script" stop
		fi
		sleep 1
	done
	echo "round $round of $rounds"
done
benchsum -k accept_per_s,p50_ms,p99_ms,cpu_s_per_1000,rss_mib "$OUT"
