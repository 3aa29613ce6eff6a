#!/bin/bash
# Posta for the load programs, like the scripts of the other servers beside them:
# posta.sh config | start | stop | clean | data | cgroup
# Ports with BASE=101: 10125 SMTP, 10187 submission (STARTTLS), 10124 LMTP, 10143 IMAP (TLS on
# 10193). It has the accounts u000…@$DOMAIN with the password $PASS and asks the
# DNS at $DNS (dnsstub). Build it first: CGO_ENABLED=0 go build -o $POSTA ./cmd/posta
set -eu
BENCH=${BENCH:-${TMPDIR:-/tmp}/bench}
USERS=${USERS:-20}
DOMAIN=${DOMAIN:-example.test}
PASS=${PASS:-secret-secret}
DNS=${DNS:-127.0.0.1:5300}
SINK=${SINK:-127.0.0.1:2600}
POSTA=${POSTA:-$BENCH/posta-bin}
# RUNNER is put before the server's command, e.g. "ip netns exec bench".
RUNNER=${RUNNER:-}
BASE=${BASE:-101}
P=$BENCH/posta$BASE

cgroup() {
	for base in /sys/fs/cgroup/cpuacct /sys/fs/cgroup; do
		if [ -w $base ] && mkdir -p "$base/bench-posta$BASE" 2>/dev/null && [ -e "$base/bench-posta$BASE/cgroup.procs" ]; then
			echo "$base/bench-posta$BASE"
			return
		fi
	done
}

config() {
	mkdir -p "$P/data"
	cat >"$P/posta.toml" <<-END
		hostname = "mx.$DOMAIN"
		data = "$P/data"
		user = "root"
		[listen]
		smtp = "127.0.0.1:${BASE}25"
		submission = "127.0.0.1:${BASE}87"
		submissions = ""
		lmtp = "127.0.0.1:${BASE}24"
		imap = "127.0.0.1:${BASE}43"
		imaps = "127.0.0.1:${BASE}93"
		pop3s = ""
		http = "127.0.0.1:${BASE}80"
		https = ""
		[dns]
		servers = ["$DNS"]
		[queue]
		smart_host = "[${SINK%:*}]:${SINK#*:}"
		[limits]
		per_network = 1000
		network_rate = 0 # the load's few strangers send more than anybody does
		sender_rate = 0
		recipient_rate = 0
		[log]
		level = "warn"
	END
	"$POSTA" --config "$P/posta.toml" domain add "$DOMAIN" >/dev/null
	for i in $(seq 0 $((USERS - 1))); do
		printf '%s' "$PASS" | "$POSTA" --config "$P/posta.toml" account add "$(printf u%03d "$i")@$DOMAIN" --password-file - >/dev/null
	done
}

case ${1:-} in
config) config ;;
start)
	sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$(cgroup)" $RUNNER "$POSTA" --config "$P/posta.toml" serve </dev/null >"$P/log" 2>&1 &
	echo $! >"$P/pid"
	for _ in $(seq 200); do
		$RUNNER curl -sf http://127.0.0.1:${BASE}80/readyz >/dev/null && exit
		sleep 0.05
	done
	cat "$P/log" >&2
	exit 1
	;;
stop)
	if [ -s "$P/pid" ]; then kill "$(cat "$P/pid")" 2>/dev/null || true; fi
	;;
clean) rm -rf "$P" ;;
data) echo "$P/data" ;;
cgroup) cgroup ;;
*) sed -n 2,6p "$0" ;;
esac
