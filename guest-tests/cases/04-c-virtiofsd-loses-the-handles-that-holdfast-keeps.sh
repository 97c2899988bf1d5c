#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 300
# weight: 35
# The same 200 files and the same events with both: it shows that the checks of the other cases can fail, and how
# much is at stake. Debian's C virtiofsd loses them all, some to other files; holdfast must keep all of them.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/lib/guest.sh"

[[ -x /usr/lib/qemu/virtiofsd ]] || skip "this machine has no C virtiofsd"
share_make
run mkdir "$SHARE/tree" "$SHARE/other"
for n in $(seq -w 0 199); do
	echo "tree/f$n" >"$SHARE/tree/f$n"
	echo "other/f$n" >"$SHARE/other/f$n"
done

declare -A SUM=()
count() {
	local event=$1 kind
	shift
	handles_count g files "$@"
	printf '    %-10s %-6s %-52s same %3d  stale %3d  wrong file %3d  other %d\n' $GUEST_BACKEND "$KERNEL" "$event" \
		"${COUNTED[same]}" "${COUNTED[stale]}" "${COUNTED[wrong]}" "${COUNTED[other]}"
	for kind in same stale wrong other; do ((SUM[$GUEST_BACKEND/$kind] += COUNTED[$kind])); done
}

events() {
	share_serve a
	guest_boot g "$KERNEL" share="${SOCKET[a]}"
	guest_mount g
	handles_take g files /mnt/tree
	guest_do g "sed -i '/\tf[0-9]*$/!d' /disk/files"
	count "opened at once"
	count "opened for the second time"
	guest_drop_caches g
	count "after drop_caches"
	guest_do g 'umount /mnt'
	guest_mount g
	count "after umount and mount"
	guest_do g 'umount /mnt'
	guest_mount g
	guest_do g 'ls -l /mnt/other >/dev/null'
	count "after umount and mount, other files looked up first"
	guest_kill g
	share_end a
	share_again a
	guest_boot g "$KERNEL" share="${SOCKET[a]}"
	guest_mount g
	guest_do g 'ls -l /mnt/other >/dev/null'
	count "after a reboot, other files looked up first"
	guest_kill g
	share_end a
}
KERNELS=(6.12)
((!FULL)) || KERNELS+=(6.1)
for GUEST_BACKEND in virtiofsd holdfast; do
	for KERNEL in "${KERNELS[@]}"; do
		step "$GUEST_BACKEND, Linux $KERNEL"
		events
	done
done
echo
for GUEST_BACKEND in virtiofsd holdfast; do
	echo "    of $((SUM[$GUEST_BACKEND/same] + SUM[$GUEST_BACKEND/stale] + SUM[$GUEST_BACKEND/wrong] + SUM[$GUEST_BACKEND/other])) handles" \
		"$GUEST_BACKEND opened ${SUM[$GUEST_BACKEND/same]} as they were, ${SUM[$GUEST_BACKEND/stale]} were stale," \
		"${SUM[$GUEST_BACKEND/wrong]} another file, ${SUM[$GUEST_BACKEND/other]} failed otherwise"
done
((SUM[holdfast/stale] + SUM[holdfast/wrong] + SUM[holdfast/other] == 0)) || fail "holdfast lost handles"
((SUM[virtiofsd/stale] > 0 && SUM[virtiofsd/wrong] > 0)) || fail "the checks see nothing wrong with C virtiofsd"
