#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs
# The daemon believes the year before (LD_PRELOAD), so that all that it serves was born and changed in the future; then the present
# again. Handles of either time open, and those of what was deleted or replaced do not.
. "$(dirname "$0")/../lib/case.sh"

cat >"$TMP/back.c" <<'END'
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#define YEAR (365L * 86400)
static int real(clockid_t c, struct timespec *t) { return (int)syscall(SYS_clock_gettime, c, t); }
int clock_gettime(clockid_t c, struct timespec *t)
{
	int ret = real(c, t);
	if (ret == 0 && (c == CLOCK_REALTIME || c == CLOCK_REALTIME_COARSE))
		t->tv_sec -= YEAR;
	return ret;
}
time_t time(time_t *out)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}
int gettimeofday(struct timeval *restrict v, void *restrict zone)
{
	struct timespec t;
	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	v->tv_sec = t.tv_sec;
	v->tv_usec = t.tv_nsec / 1000;
	return 0;
}
END
run gcc -O1 -shared -fPIC -o "$TMP/back.so" "$TMP/back.c"
back=(env "LD_PRELOAD=$TMP/back.so")
expect_text "the year that is told" "$(date -d '365 days ago' +%Y)" "$("${back[@]}" bash -c 'printf "%(%Y)T" -1')"
made_in() { "$HOLDFAST" status --json --state-dir="$STATE" | grep -o '"started": [0-9]*' | head -n 1 | grep -o '[0-9]*$'; }

share_make
run "$TOOLS/populate" "$SHARE" 200
daemon_start a
catalogue_take
daemon_stop
all=()
for when in "the year before" "the present, after a kill"; do
	step "$when"
	DAEMON_PREFIX=()
	[[ $when == *before* ]] && DAEMON_PREFIX=("${back[@]}")
	daemon_start a
	m=${MOUNT[a]}
	started=$(date -d "@$(made_in)" +%Y-%m-%d) || fail "status does not say when it was started"
	echo "started $started"
	[[ $when != *before* || $started < "$(date -d '300 days ago' +%Y-%m-%d)" ]] || fail "the daemon does not believe it: $started"
	catalogue_check --shuffle=1
	for h in "${all[@]}"; do expect_opens "${h%%=*}" "${h#*=}"; done
	mkdir "$m/in $when"
	for i in 1 2 3; do
		echo "$when $i" >"$m/in $when/f$i" || fail "create"
		all+=("$(handle_of "$m/in $when/f$i")=$when $i")
	done
	mv "$m/in $when/f3" "$m/$when" || fail "mv"
	echo removed >"$m/removed"
	gone=$(handle_of "$m/removed")
	rm "$m/removed"
	step "what the host replaces is another"
	echo old >"$SHARE/replaced"
	old=$(handle_of "$m/replaced")
	expect_opens "$old" old
	rm "$SHARE/replaced"
	echo new >"$SHARE/replaced"
	within 5 eval "[[ \$(cat '$m/replaced') == new ]]" || fail "the old content"
	expect_stale "$old"
	expect_stale "$gone"
	drop_caches
	catalogue_check --shuffle=2
	for h in "${all[@]}"; do expect_opens "${h%%=*}" "${h#*=}"; done
	if [[ $when == *before ]]; then daemon_stop; else daemon_kill9; fi
done
step "a lost map is made again in the year before"
rm "$STATE/map.db"
DAEMON_PREFIX=("${back[@]}")
daemon_start a
catalogue_check
for h in "${all[@]}"; do expect_opens "${h%%=*}" "${h#*=}"; done
daemon_stop
run "${back[@]}" "$HOLDFAST" verify --shared-dir="$SHARE" --state-dir="$STATE"
run "$HOLDFAST" verify --shared-dir="$SHARE" --state-dir="$STATE"
