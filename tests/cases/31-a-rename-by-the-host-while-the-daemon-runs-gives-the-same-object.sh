#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs own
# limit: 90
# The same object, or ESTALE where no scan has found it yet; never another one that took the name.
. "$(dirname "$0")/../lib/case.sh"

share_make
run "$TOOLS/populate" "$SHARE" 500
daemon_start a
m=${MOUNT[a]}
declare -A h=()
mkdir -p "$m/a/b/c" "$m/x"
for f in one two three; do echo $f >"$m/a/$f"; h[$f]=$(handle_of "$m/a/$f"); done
echo deep >"$m/a/b/c/deep"; h[deep]=$(handle_of "$m/a/b/c/deep")
dir=$(handle_of "$m/a/b/c"); dir_ino=$(stat -c %i "$m/a/b/c")
never_another() { local f; for f in "${!h[@]}"; do expect_same_or_stale "${h[$f]}" "$f"; done; }
mv "$SHARE/a/one" "$SHARE/x/ein"
echo other >"$SHARE/a/one"
mv "$SHARE/a/two" "$SHARE/a/zwei"
mv "$SHARE/a/b" "$SHARE/x/b"
mkdir -p "$SHARE/a/b/c"
echo other >"$SHARE/a/b/c/deep"
drop_caches
never_another
step "a directory is found by its handle, and what lies in it"
if ! within 5 handle_open "$dir"; then fail "the moved directory does not open"; fi
expect_text "the directory" "d $dir_ino" "$OPENED"
expect_opens "${h[deep]}" deep
step "seen under its new name, a file is the same again"
ls -l "$m/x" "$m/a" "$m/x/b/c" "$m/a/b/c" >/dev/null
expect_opens "${h[one]}" one
expect_opens "${h[two]}" two
expect_opens "${h[three]}" three
[[ $(handle_of "$m/a/one") != "${h[one]}" ]] || fail "the other object has the handle"
daemon_restart kill9
for f in "${!h[@]}"; do expect_opens "${h[$f]}" "$f"; done
daemon_stop
