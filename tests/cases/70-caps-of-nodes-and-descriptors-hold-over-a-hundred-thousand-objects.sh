#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 240
# weight: 60
# --max-nodes=10000 and RLIMIT_NOFILE=1024; the kernel keeps all objects referenced. It works, memory stays flat, every handle opens.
. "$(dirname "$0")/../lib/case.sh"

share_make 700M
run "$TOOLS/populate" "$SHARE" 100000
DAEMON_PREFIX=(prlimit --nofile=1024:1024)
daemon_start a --max-nodes=10000
find "${MOUNT[a]}/d0000" -ls >/dev/null
step "the first quarter"
find "${MOUNT[a]}" -path '*/d00*' -printf '' -size +0
before=$(daemon_memory)
step "all of it"
catalogue_take "$CAT" a 20
after=$(daemon_memory)
catalogue_check --shuffle=1
later=$(daemon_memory)
echo "anonymous memory: $before, $after, $later kB"
((after < before + 16384 && later < before + 16384)) || fail "memory grows: $before, $after, $later kB"
((later < 98304)) || fail "too much memory: $later kB"
fds=$(ls "/proc/${PID[a]}/fd" | wc -l)
((fds <= 1024)) || fail "$fds descriptors"
step "cold"
drop_caches
catalogue_check --shuffle=2 --sample=20000
step "files held open up to the limit are refused with ENFILE, lookups go on"
exec 7< <(bash -c 'ulimit -n 3000 2>/dev/null; i=100; while eval "exec {fd}<\"$1/d0001/f000\"" 2>/dev/null; do ((++i > 2500)) && break; done; echo $i; sleep 3' hold "${MOUNT[a]}")
read -r held <&7
echo "held: $held"
((held < 1024)) || fail "$held files are open"
run stat "${MOUNT[a]}/d0002/f000" >/dev/null
exec 7<&-
sleep 4
catalogue_check --sample=200
daemon_stop
