#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
. "$(dirname "$0")/../lib/case.sh"

share_make
chmod 777 "$SHARE"
daemon_start a --posix-acl --translate-uid=map:1000:5000:10 --translate-gid=map:1000:7000:10 --translate-uid=forbid-guest:3000:1
m=${MOUNT[a]}
echo one >"$m/f"
chmod 600 "$m/f"
run setfacl -m u:1003:r,g:1004:r "$m/f"
expect_text "on the host" "group:7004:r-- user:5003:r--" "$(getfacl -cpn "$SHARE/f" | grep ':[0-9]' | sort | tr '\n' ' ' | sed 's/ $//')"
expect_text "through the mount" "group:1004:r-- user:1003:r--" "$(getfacl -cpn "$m/f" | grep ':[0-9]' | sort | tr '\n' ' ' | sed 's/ $//')"
step "the right is that of the guest's user, and not of the host's user with this number"
setpriv --reuid 1003 --regid 2000 --clear-groups cat "$m/f" >/dev/null || fail "guest user 1003 cannot read"
! setpriv --reuid 1003 --regid 2000 --clear-groups cat "$SHARE/f" >/dev/null 2>&1 || fail "host user 1003 can read"
setpriv --reuid 5003 --regid 2000 --clear-groups cat "$SHARE/f" >/dev/null || fail "host user 5003 cannot read"
step "a default ACL is inherited with the ids of each side"
run mkdir "$m/d"
run setfacl -d -m u:1003:rwx "$m/d"
run touch "$m/d/g"
getfacl -cpn "$SHARE/d/g" | grep -q "^user:5003:" || fail "inherited: $(getfacl -cpn "$SHARE/d/g")"
! setfacl -m u:3000:r "$m/f" 2>/dev/null || fail "a forbidden id can be named"
daemon_stop
