#!/bin/bash
# How much memory Posta holds: after its start, with a thousand IMAP sessions that
# wait in IDLE, and with 200 SMTP connections that send signed mail.
#
#   HARNESS=.../bench bench/memory.sh
#
# HARNESS is the folder of the load programs (smtpload, imapload, dnsstub). No root
# is needed. Environment: BASE (ports, see posta.sh), DNSPORT, T (seconds of each load).
set -eu
: "${HARNESS:?the folder of the load programs}"
HERE=$(cd "$(dirname "$0")" && pwd)
export BENCH=${BENCH:-${TMPDIR:-/tmp}/bench} BASE=${BASE:-101} RUNNER=
export DNS=127.0.0.1:${DNSPORT:-5300} POSTA=$BENCH/posta-bin
mkdir -p "$BENCH/bin"
(cd "$HARNESS" && go build -o "$BENCH/bin/" ./cmd/...)
(cd "$HERE/.." && CGO_ENABLED=0 go build -o "$POSTA" ./cmd/posta)
export PATH=$BENCH/bin:$PATH
dnsstub -listen "$DNS" -key "$BENCH/dkim.pem" >/dev/null &
dns=$!
cleanup() {
	"$HERE/posta.sh" stop
	kill $dns
}
trap cleanup EXIT
"$HERE/posta.sh" clean
"$HERE/posta.sh" config

server() { # a new process, so that nothing is left of what was before
	"$HERE/posta.sh" stop
	while kill -0 "$(cat "$BENCH/posta$BASE/pid" 2>/dev/null)" 2>/dev/null; do sleep 0.2; done
	"$HERE/posta.sh" start
	pid=$(cat "$BENCH/posta$BASE/pid")
}
mib() { awk -v k="$1:" '$1 == k { printf "%.0f", $2 / 1024 }' "/proc/$pid/status"; }
heap() { curl -s --unix-socket "$BENCH/posta$BASE/data/posta.sock" "http://posta/debug/pprof/heap$1"; }

server
sleep 5
echo "started: $(mib VmRSS) MiB, of these $(mib RssFile) MiB the program itself"

imapload -mode idle -addr 127.0.0.1:${BASE}93 -tls -c 1000 -srcs 20 -pass secret-secret -t "${T:-20}s" >"$BENCH/idle.json" &
load=$!
until [ "$(ss -tnH state established "sport = :${BASE}93" | wc -l)" -ge 1000 ]; do sleep 0.5; done
sleep 5
before=$(mib VmRSS)
for _ in 1 2 3 4; do heap '?gc=1' >/dev/null; done # as four minutes would
sleep 3
echo "1,000 IMAP sessions in IDLE over TLS: $before MiB, after a collection $(mib VmRSS) MiB;" \
	"$(heap '?debug=1' | awk '/^# (HeapAlloc|Stack) =/ { printf "%s %.1f MiB  ", $2, $4 / 1048576 }')"
wait $load

for size in 4k mix; do
	server
	smtpload -sign -key "$BENCH/dkim.pem" -addr 127.0.0.1:${BASE}25 -srcs 200 -c 200 -size $size -n 1000000 \
		-t "${T:-20}s" >"$BENCH/smtp.json"
	echo "200 SMTP connections, $size: at most $(mib VmHWM) MiB;" \
		"$(grep -oE '"(accept_per_s)":[0-9.]+' "$BENCH/smtp.json" | tr '\n' ' ')"
done
sleep 60
echo "a minute later: $(mib VmRSS) MiB"
