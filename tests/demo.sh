#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The demonstration of the README, with nothing between its lines but what waits and checks. Run as root after `make`.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'kill -9 $D 2>/dev/null || :; umount -l "$work/mnt" 2>/dev/null || :; rm -rf "$work"' EXIT
D=
mkdir "$work/share" "$work/mnt"

serve() {
	build/holdfast --shared-dir="$work/share" --mount="$work/mnt" --state-dir="$work/state" &
	D=$!
	until mountpoint -q "$work/mnt"; do sleep 0.05; kill -0 $D; done
}

set -x
echo 'still here' >"$work/share/file"
serve
H=$(build/holdfast handle get "$work/mnt/file")    # take its handle
kill -9 $D && umount -l "$work/mnt"               # the daemon dies
serve                                             # another one starts
GOT=$(build/holdfast handle open "$H" "$work/mnt") # the handle opens the same file
set +x
[[ $GOT == 'still here' ]] || { echo "the handle opened: $GOT" >&2; exit 1; }
kill $D
wait $D
echo 'the handle opened the same file after kill -9'
