#!/bin/bash
# Does it cost more to accept a message when much is stored? Two servers, one with
# an empty store, one that was filled first, are loaded in turn, pair by pair.
#
#   HARNESS=.../bench bench/growth.sh MESSAGES USERS PAIRS
#
# With USERS=1 all of it lies in one mailbox, which an IMAP client has selected and
# idles in. Prints, for each pair, CPU and octets written per message of both.
set -eu
: "${HARNESS:?the folder of the load programs}"
n=${1:-200000} users=${2:-20} pairs=${3:-5}
HERE=$(cd "$(dirname "$0")" && pwd)
export BENCH=${BENCH:-${TMPDIR:-/tmp}/bench} USERS=$users DNS=127.0.0.1:5300
export POSTA=$BENCH/posta-bin PATH=$BENCH/bin:$PATH
mkdir -p "$BENCH/bin"
(cd "$HARNESS" && go build -o "$BENCH/bin/" ./cmd/...)
(cd "$HERE/.." && CGO_ENABLED=0 go build -o "$POSTA" ./cmd/posta)
dnsstub -listen $DNS -key "$BENCH/dkim.pem" &
dns=$!
idle=
cleanup() {
	BASE=103 "$HERE/posta.sh" stop
	BASE=104 "$HERE/posta.sh" stop
	kill $dns $idle 2>/dev/null || true
}
trap cleanup EXIT
load() { # BASE SECONDS [FLAGS]: load one server, print its result
	local base=$1
	shift
	smtpload -sign -key "$BENCH/dkim.pem" -addr "127.0.0.1:${base}25" -srcs 200 -c 50 -size 4k -users "$users" -n 1000000 "$@"
}
field() { sed -nE "s/.*\"$1\":([0-9.]+).*/\1/p"; }
written() { awk '/^write_bytes/{print $2}' "/proc/$(cat "$BENCH/posta$1/pid")/io"; }
for base in 103 104; do
	BASE=$base "$HERE/posta.sh" clean
	BASE=$base "$HERE/posta.sh" config
	BASE=$base "$HERE/posta.sh" start
done
load 104 -n "$n" -t 600s >/dev/null
if [ "$users" = 1 ]; then
	openssl s_client -quiet -crlf -connect 127.0.0.1:10493 >/dev/null 2>&1 < <(
		printf 'a LOGIN u000@example.test secret-secret\nb SELECT INBOX\n'
		sleep 2
		printf 'c IDLE\n'
		sleep 3600
	) &
	idle=$!
	sleep 4
fi
for pair in $(seq "$pairs"); do
	for base in 103 104; do
		[ $base = 103 ] && BASE=103 "$HERE/posta.sh" stop && sleep 1 && BASE=103 "$HERE/posta.sh" clean && BASE=103 "$HERE/posta.sh" config && BASE=103 "$HERE/posta.sh" start
		before=$(written $base)
		out=$(load $base -t 4s -cgroup "$(BASE=$base "$HERE/posta.sh" cgroup)")
		sleep 2 # checkpoints and the index of traces
		sent=$(echo "$out" | field sent)
		echo "pair $pair $([ $base = 103 ] && echo empty || echo filled) cpu_ms=$(echo "$out" | field cpu_s_per_1000) per_s=$(echo "$out" | field accept_per_s) p99_ms=$(echo "$out" | field p99_ms) written=$((($(written $base) - before) / sent))"
	done
done
