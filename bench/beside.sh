# Sourced by the scripts that measure Posta beside another server, in turn, in one
# run: the same load, the same DNS, the same disk.
#
# HARNESS is the folder of the load programs (smtpload, dnsstub, benchsum,
# peers/postfix.sh). Results go to $OUT; the medians are printed.
# Environment: BENCH (folder), CS (connections), SIZES, T (seconds of each run).
: "${HARNESS:?the folder of the load programs}"
HERE=$(cd "$(dirname "$0")" && pwd)
export BENCH=${BENCH:-${TMPDIR:-/tmp}/bench}
export RUNNER="ip netns exec bench" RUN="nsenter --net=/var/run/netns/bench"
export POSTA=$BENCH/posta-bin DNS=127.0.0.1:53
export PATH=$BENCH/bin:$PATH
POSTFIX=$HARNESS/peers/postfix.sh

# The other server is started and stopped by these, which a script may define anew.
start_postfix() { "$POSTFIX" start; }
stop_postfix() { "$POSTFIX" stop; }

prepare() {
	mkdir -p "$BENCH/bin"
	(cd "$HARNESS" && go build -o "$BENCH/bin/" ./cmd/...)
	(cd "$HERE/.." && CGO_ENABLED=0 go build -o "$POSTA" ./cmd/posta)
	ip netns add bench 2>/dev/null || true
	$RUNNER ip link set lo up
	mkdir -p /etc/netns/bench
	echo nameserver 127.0.0.1 >/etc/netns/bench/resolv.conf
	$RUNNER dnsstub -key "$BENCH/dkim.pem" &
	dns=$!
	trap cleanup EXIT
	sleep 1
}

cleanup() {
	"$HERE/posta.sh" stop
	stop_postfix
	kill $dns
}

# load PEER SCRIPT PORT: the matrix of connections and sizes.
load() {
	local c s
	for c in ${CS:-1 10 50}; do
		for s in ${SIZES:-4k mix}; do
			$RUN timeout 120 smtpload -sign -key "$BENCH/dkim.pem" -addr "127.0.0.1:$3" -srcs 200 \
				-label "$1 c=$c $s" -out "$OUT" -c "$c" -size "$s" -n 1000000 -t "${T:-4s}" -cgroup "$("$2" cgroup)" >/dev/null
			[ "$1" = postfix ] && sleep 2 # let the queue empty
		done
	done
	return 0
}

# rounds N: both servers in turn, and the medians.
rounds() {
	local round
	: >"$OUT"
	for round in $(seq "$1"); do
		"$POSTFIX" clean
		"$POSTFIX" config
		start_postfix
		load postfix "$POSTFIX" 10025
		stop_postfix
		sleep 1
		"$HERE/posta.sh" clean
		"$HERE/posta.sh" config
		"$HERE/posta.sh" start
		load posta "$HERE/posta.sh" 10125
		"$HERE/posta.sh" stop
		sleep 1
		echo "round $round of $1"
	done
	benchsum -k accept_per_s,p50_ms,p99_ms,cpu_s_per_1000,rss_mib "$OUT"
}
