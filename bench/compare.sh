#!/bin/bash
# Posta beside Postfix. Both are durable; Postfix delivers to Maildir and checks
# nothing, Posta judges every message (PTR, HELO, SPF, DKIM, DMARC) and files it.
#
#   HARNESS=.../bench bench/compare.sh [ROUNDS]     as root, with iproute2 and Go
#
# See beside.sh for the environment.
set -eu
. "$(dirname "$0")/beside.sh"
export OUT=$BENCH/out.jsonl
prepare
rounds "${1:-3}"
