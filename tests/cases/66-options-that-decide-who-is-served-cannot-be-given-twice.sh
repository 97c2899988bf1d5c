#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# And other slips on the command line: exit code 2, one line. --help fits one screen.
. "$(dirname "$0")/../lib/case.sh"

share_make
mkdir "$TMP/mnt" "$TMP/other"
serve=("$HOLDFAST" "--shared-dir=$SHARE" "--mount=$TMP/mnt")
expect_exit 2 "${serve[@]}" "--shared-dir=$TMP/other"
expect_exit 2 "${serve[@]}" "--mount=$TMP/other"
expect_exit 2 "${serve[@]}" "--state-dir=$STATE" "--state-dir=$TMP/other"
expect_exit 2 "${serve[@]}" --sandbox=none --sandbox=none
expect_exit 2 "${serve[@]}" --new-key --new-key
expect_exit 2 "${serve[@]}" -o "source=$TMP/other"
expect_exit 2 "${serve[@]}" --no-such-option
expect_exit 2 "${serve[@]}" --cache=sometimes
expect_exit 2 "${serve[@]}" --max-nodes=lots
expect_exit 2 "${serve[@]}" --rlimit-nofile=-1
expect_exit 2 "${serve[@]}" --announce-submounts # virtiofs alone has it
grep -q announce-submounts <<<"$SAID" || fail "it is not refused by name"
expect_exit 2 "$HOLDFAST"
expect_exit 2 "$HOLDFAST" "--shared-dir=$SHARE"
expect_exit 3 "$HOLDFAST" "--shared-dir=$TMP/none" "--mount=$TMP/mnt" "--state-dir=$STATE"
touch "$TMP/file"
expect_exit 3 "$HOLDFAST" "--shared-dir=$TMP/file" "--mount=$TMP/mnt" "--state-dir=$STATE"
expect_exit 10 "$HOLDFAST" "--shared-dir=$SHARE" "--mount=$TMP/none" "--state-dir=$STATE"
! is_mounted "$TMP/mnt" || fail "it is mounted"
run "$HOLDFAST" --help >"$TMP/help"
(($(wc -l <"$TMP/help") <= 40 && $(wc -L <"$TMP/help") <= 80)) || fail "--help does not fit one screen"
run "$HOLDFAST" --version | grep -q '[0-9]\.[0-9]' || fail "--version"
step "a limit that cannot be had is a warning"
daemon_start a --rlimit-nofile=1000000000
daemon_said | grep -qi "nofile\|descriptors\|RLIMIT" || fail "no warning"
daemon_stop
