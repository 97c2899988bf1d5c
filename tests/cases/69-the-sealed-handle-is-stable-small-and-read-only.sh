#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs own
. "$(dirname "$0")/../lib/case.sh"

share_make
daemon_start a --xattr
m=${MOUNT[a]}
echo one >"$m/f"; mkdir "$m/d"; echo two >"$m/g"
sealed() { getfattr -h --only-values -n trusted.holdfast.handle "$1" 2>/dev/null | od -An -tx1 -v | tr -d ' \n'; }
f=$(sealed "$m/f") d=$(sealed "$m/d") g=$(sealed "$m/g")
[[ -n $f && -n $d && $f != "$g" && $f != "$d" ]] || fail "no sealed handles, or equal ones: $f $d $g"
limit=64
[[ $FS == ext4 || $FS == xfs ]] || limit=128
((${#f} / 2 <= limit)) || fail "$((${#f} / 2)) bytes"
[[ $f == 01* ]] || fail "version: $f"
! setfattr -n trusted.holdfast.handle -v x "$m/f" 2>/dev/null || fail "it can be set"
! setfattr -x trusted.holdfast.handle "$m/f" 2>/dev/null || fail "it can be removed"
run mv "$m/f" "$m/d/f"
expect_text "after a rename" "$f" "$(sealed "$m/d/f")"
daemon_restart kill9
expect_text "after kill -9" "$f" "$(sealed "$m/d/f")"
! setpriv --reuid 1234 --clear-groups getfattr --only-values -n trusted.holdfast.handle "$m/d/f" 2>/dev/null || fail "seen without CAP_SYS_ADMIN"
daemon_stop
