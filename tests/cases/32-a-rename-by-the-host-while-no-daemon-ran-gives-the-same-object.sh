#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs own
# limit: 120
# Found by parent pointers, inode paths, the directory's handle or a scan; ENOMEM until the scan has ended.
. "$(dirname "$0")/../lib/case.sh"

share_make
run "$TOOLS/populate" "$SHARE" 3000
daemon_start a
m=${MOUNT[a]}
catalogue_take
declare -A h=()
mkdir -p "$m/a/b/c" "$m/x"
for f in one two three; do echo $f >"$m/a/$f"; h[$f]=$(handle_of "$m/a/$f"); done
echo deep >"$m/a/b/c/deep"; h[deep]=$(handle_of "$m/a/b/c/deep")
daemon_stop
mv "$SHARE/a/one" "$SHARE/x/ein"
echo other >"$SHARE/a/one"
mv "$SHARE/a/two" "$SHARE/a/zwei"
mv "$SHARE/a/b" "$SHARE/x/b"
mkdir -p "$SHARE/a/b/c"
echo other >"$SHARE/a/b/c/deep"
run mkdir "$SHARE/other"
for d in "$SHARE"/d000*; do run mv "$d" "$SHARE/other/moved-${d##*/}"; done
daemon_start a
for f in "${!h[@]}"; do expect_same_or_stale "${h[$f]}" "$f"; done
for f in "${!h[@]}"; do expect_opens "${h[$f]}" "$f"; done
catalogue_check --shuffle=1
daemon_stop
