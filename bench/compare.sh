#!/bin/bash
# Posta beside Postfix, in turn, in one run: the same load, the same DNS, the same
# disk. Both are durable; Postfix delivers to Maildir and checks nothing, Posta
# judges every message (PTR, HELO, SPF, DKIM, DMARC) and files it.
#
#   HARNESS=.../bench bench/compare.sh [ROUNDS]     as root, with iproute2 and Go
#
# HARNESS is the folder of the load programs (smtpload, dnsstub, benchsum,
# peers/postfix.sh). Results go to $BENCH/out.jsonl; the medians are printed.
# Environment: CS (connections), SIZES, T (seconds of each run).
set -eu
: "${HARNESS:?the folder of the load programs}"
HERE=$(cd "$(dirname "$0")" && pwd)
export BENCH=${BENCH:-${TMPDIR:-/tmp}/bench}
export RUNNER="ip netns exec bench" RUN="nsenter --net=/var/run/netns/bench"
export OUT=$BENCH/out.jsonl POSTA=$BENCH/posta-bin DNS=127.0.0.1:53
rounds=${1:-3}
mkdir -p "$BENCH/bin"
(cd "$HARNESS" && go build -o "$BENCH/bin/" ./cmd/...)
(cd "$HERE/.." && CGO_ENABLED=0 go build -o "$POSTA" ./cmd/posta)
export PATH=$BENCH/bin:$PATH

ip netns add bench 2>/dev/null || true
$RUNNER ip link set lo up
mkdir -p /etc/netns/bench
echo nameserver 127.0.0.1 >/etc/netns/bench/resolv.conf
$RUNNER dnsstub -key "$BENCH/dkim.pem" &
dns=$!
cleanup() {
	"$HERE/posta.sh" stop
	"$HARNESS/peers/postfix.sh" stop
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
		"$script" start
		for c in ${CS:-1 10 50}; do
			for s in ${SIZES:-4k mix}; do
				$RUN timeout 120 smtpload -sign -key "$BENCH/dkim.pem" -addr 127.0.0.1:$port -srcs 200 \
					-label "$peer c=$c $s" -out "$OUT" -c "$c" -size "$s" -n 1000000 -t "${T:-4s}" -cgroup "$("$script" cgroup)" >/dev/null
				[ $peer = postfix ] && sleep 2 # let the queue empty
			done
		done
		"$script" stop
		sleep 1
	done
	echo "round $round of $rounds"
done
benchsum -k accept_per_s,p50_ms,p99_ms,cpu_s_per_1000,rss_mib "$OUT"
