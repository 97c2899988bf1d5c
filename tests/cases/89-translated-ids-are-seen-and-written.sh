#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# --translate-uid and --translate-gid as virtiofsd means them.
. "$(dirname "$0")/../lib/case.sh"

share_make
chmod 777 "$SHARE"
daemon_start a --translate-uid=map:1000:5000:10 --translate-gid=map:1000:5000:10
m=${MOUNT[a]}
touch "$SHARE/host"; chown 5003:5004 "$SHARE/host"
expect_text "seen" "1003 1004" "$(stat -c '%u %g' "$m/host")"
setpriv --reuid 1003 --regid 1004 --clear-groups touch "$m/guest" || fail "create"
expect_text "written" "5003 5004" "$(stat -c '%u %g' "$SHARE/guest")"
chown 1001:1002 "$m/host" || fail "chown"
expect_text "chown" "5001 5002" "$(stat -c '%u %g' "$SHARE/host")"
daemon_stop
