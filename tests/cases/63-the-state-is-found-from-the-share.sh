#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# Without --state-dir: below /var/lib/holdfast, found again by the share's path and when the share was moved; never in it.
. "$(dirname "$0")/../lib/case.sh"

share_make
echo one >"$SHARE/f"
serve() { # [OPTION...]: in the place of daemon_start, which gives a --state-dir
	MOUNT[a]=$TMP/mnt-a LOG[a]=$TMP/log-a
	mkdir -p "${MOUNT[a]}"
	"$HOLDFAST" --shared-dir="$SHARE" --mount="${MOUNT[a]}" "$@" 2>"${LOG[a]}" </dev/null &
	PID[a]=$!
	DAEMON_OFFSET=0
	within 20 daemon_is_up a || fail "does not serve"
	daemon_alive a || fail "ended"
}
serve
h=$(handle_of "${MOUNT[a]}/f")
[[ -n $(find /var/lib/holdfast -name key) ]] || fail "no key below /var/lib/holdfast"
daemon_kill9
serve
expect_opens "$h" one
daemon_stop
[[ $(find /var/lib/holdfast -name key | wc -l) == 1 ]] || fail "more than one state"
step "a second share has its own"
SHARE=$HOST/share2; mkdir "$SHARE"; echo two >"$SHARE/f"
serve
two=$(handle_of "${MOUNT[a]}/f")
expect_opens "$two" two
expect_stale "$h"
daemon_stop
step "one that cannot be read may be that of a share that is not found: no new one is made"
record=$(grep -l "share2$" /var/lib/holdfast/*/export)
cp -p "$record" "$TMP/record"
sed -i '1s/1$/2/' "$record"
daemon_refuses 7
grep -q "$record.*newer.*--state-dir" <<<"$SAID" || fail "not said which, or what to do"
echo damaged >"$record"
daemon_refuses 4
grep -q "$record.*damaged.*--state-dir" <<<"$SAID" || fail "not said which, or what to do"
cp -p "$TMP/record" "$record"
chmod 660 "$record"
daemon_refuses 4
[[ $(find /var/lib/holdfast -name key | wc -l) == 2 ]] || fail "a third state"
SHARE=$HOST/share
serve
expect_opens "$h" one
daemon_said | grep -q "$record is left out" || fail "not said that one is left out"
daemon_stop
chmod 600 "$record"
SHARE=$HOST/share2
serve
daemon_stop
step "nor while one has lost its record, whatever is left of it, until it is given"
dir=$(dirname "$record")
name=/var/lib/holdfast/${dir##*/}
mv "$record" "$TMP/record"
daemon_refuses 4
grep -q "$name has a file \`key\` but no \`export\`.*--state-dir=$name" <<<"$SAID" || fail "not said which, or what to do"
for left in map.db root-generation; do
	mkdir "$TMP/left" && mv "$dir"/* "$TMP/left"
	touch "$dir/$left"
	daemon_refuses 4
	grep -q "$name has a file \`$left\`" <<<"$SAID" || fail "not said what is left: $SAID"
	rm "$dir/$left" && mv "$TMP/left"/* "$dir" && rmdir "$TMP/left"
done
mkdir -p /var/lib/holdfast/empty
SHARE=$HOST/share
serve
expect_opens "$h" one
daemon_said | grep -q "$record is left out" || fail "not said that one is left out"
daemon_stop
SHARE=$HOST/share2
serve --state-dir="$dir"
expect_opens "$two" two
daemon_stop
grep -q "share2$" "$record" || fail "no record was written"
serve
expect_opens "$two" two
step "but not while a daemon is running in it"
rm "$record"
daemon_refuses 4 --state-dir="$dir"
grep -q "in use" <<<"$SAID" || fail "not said why: $SAID"
[[ ! -e $record ]] || fail "a record beside a daemon with another"
daemon_stop
serve --state-dir="$dir"
daemon_stop
step "never in the share"
daemon_refuses 2 --state-dir="$SHARE/state" 2>/dev/null || true
[[ ! -e $SHARE/state/key ]] || fail "a key in the share"
