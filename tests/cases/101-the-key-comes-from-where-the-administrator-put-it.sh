#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 300
# weight: 15
# A file elsewhere, a descriptor, a credential, the kernel's keyring: handles persist, revoke and rotate-key do what they
# can or say in one line what to do, and no backup of the map undoes a revoke. Mount and device, with the helper and without.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/tests/lib/keys.sh"

share_make
run "$TOOLS/populate" "$SHARE" 30
KEYS=$TMP/keys
mkdir "$KEYS"
run "$HOLDFAST" make-key "$KEYS/key" >/dev/null
expect_text "mode of the key" 600 "$(stat -c %a "$KEYS/key")"
expect_exit 2 "$HOLDFAST" make-key "$KEYS/key"

# serve_once OPTION...: every handle of $CAT opens.
serve_once() {
	daemon_start a "$@"
	catalogue_check
	daemon_stop
	[[ ! -e $STATE/key ]] || fail "there is a key in the state directory"
}

step "a file elsewhere"
daemon_start a --key-file="$KEYS/key"
catalogue_take
daemon_restart kill9
catalogue_check
daemon_stop
[[ ! -e $STATE/key ]] || fail "there is a key in the state directory"
serve_once --key-file="$KEYS/key" --key-helper
rm "$STATE/export" # and what is left is known by the map
serve_once --key-file="$KEYS/key"

step "a descriptor, read once and closed"
daemon_start a --key-fd=7 7<"$KEYS/key"
catalogue_check
for fd in /proc/"${PID[a]}"/fd/*; do
	[[ $(readlink "$fd") != "$KEYS/key" ]] || fail "the key is still open as $fd"
done
daemon_stop
daemon_start a --key-fd=7 --key-helper 7< <(cat "$KEYS/key")
catalogue_check
daemon_stop

step "a credential of systemd"
export CREDENTIALS_DIRECTORY=$TMP/credentials
mkdir "$CREDENTIALS_DIRECTORY"
cp "$KEYS/key" "$CREDENTIALS_DIRECTORY/holdfast"
chmod 440 "$CREDENTIALS_DIRECTORY/holdfast"
serve_once --key-credential=holdfast
serve_once --key-credential=holdfast --key-helper
device_start d --key-credential=holdfast
device_stop d
device_start d --key-credential=holdfast --key-helper
device_stop d

step "the kernel's keyring"
NAME=test-$$-$RANDOM$RANDOM
if serial=$(keyctl padd user "holdfast-$NAME" @u <"$KEYS/key" 2>"$TMP/keyctl"); then
	keyctl timeout "$serial" 300 # it is the machine's, not the case's
	serve_once --key-keyring="holdfast-$NAME"
	serve_once --key-keyring="holdfast-$NAME" --key-helper
	device_start d --key-keyring="holdfast-$NAME"
	device_stop d
	keyctl unlink "$serial" @u
	serial=$(keyctl padd logon "holdfast:$NAME" @u <"$KEYS/key")
	daemon_refuses 5 --state-dir="$STATE" --key-keyring="holdfast:$NAME"
	[[ $SAID == *"type logon"* ]] || fail "a key of type logon: $SAID"
	keyctl unlink "$serial" @u
	daemon_refuses 5 --state-dir="$STATE" --key-keyring="holdfast-$NAME"
else
	echo "the kernel's keyring cannot be used here: $(cat "$TMP/keyctl")"
fi

step "what cannot be used is refused, in one line"
for helper in "" --key-helper; do
	# shellcheck disable=SC2086 # none or one
	{
		daemon_refuses 5 --state-dir="$STATE" --key-file="$KEYS/none" $helper
		daemon_refuses 5 --state-dir="$STATE" --key-file="$TMP/none/key" $helper
		daemon_refuses 5 --state-dir="$STATE" --key-credential=none $helper
		daemon_refuses 5 --state-dir="$STATE" --key-fd=99 $helper
		daemon_refuses 5 --state-dir="$STATE" --key-fd=7 $helper 7</dev/null
		chmod 644 "$KEYS/key"
		daemon_refuses 5 --state-dir="$STATE" --key-file="$KEYS/key" $helper
		chmod 600 "$KEYS/key"
		head -c 100 "$KEYS/key" >"$TMP/cut"
		chmod 600 "$TMP/cut"
		daemon_refuses 5 --state-dir="$STATE" --key-file="$TMP/cut" $helper
	}
done
daemon_refuses 2 --state-dir="$STATE" --key-file="$KEYS/key" --key-fd=3
daemon_refuses 2 --state-dir="$STATE" --key-file="$KEYS/key" --new-key
daemon_refuses 2 --key-file="$KEYS/key" --inode-file-handles=never
mkdir "$SHARE/keys" && cp -p "$KEYS/key" "$SHARE/keys/key" && ln -s "$SHARE/keys" "$TMP/link"
for path in "$SHARE/keys/key" "$TMP/link/key" "$SHARE/key"; do
	daemon_refuses 2 --state-dir="$STATE" --key-file="$path"
	[[ $SAID == *"--key-file=$path lies in the shared directory $SHARE"* ]] || fail "a key in the share: $SAID"
done
expect_exit 2 "$HOLDFAST" status --state-dir="$STATE" --key-file="$SHARE/keys/key"
(cd "$SHARE/keys" && daemon_refuses 2 --state-dir="$STATE" --key-file=key --key-helper) || exit 1
rm -r "$SHARE/keys" "$TMP/link"
daemon_refuses 2 --state-dir="$STATE" --key-credential=../key
(unset CREDENTIALS_DIRECTORY && daemon_refuses 5 --state-dir="$STATE" --key-credential=holdfast) || exit 1
run "$HOLDFAST" make-key "$TMP/other" >/dev/null
daemon_refuses 6 --state-dir="$STATE" --key-file="$TMP/other"
[[ ! -e $STATE/key ]] || fail "a key was made in the state directory"

step "a key that is written elsewhere is rotated there; one that is not, is not"
daemon_start a --key-file="$KEYS/key"
run "$HOLDFAST" rotate-key --state-dir="$STATE" --key-file="$KEYS/key" >/dev/null
expect_text "sealing key" 2 "$(sealing_key)"
drop_caches
catalogue_check
daemon_stop
cp "$KEYS/key" "$CREDENTIALS_DIRECTORY/holdfast"
daemon_start a --key-credential=holdfast
expect_exit 5 "$HOLDFAST" rotate-key --state-dir="$STATE" --key-credential=holdfast
[[ $SAID == *--output=* ]] || fail "rotate-key does not say what to do: $SAID"
expect_exit 2 "$HOLDFAST" rotate-key --state-dir="$STATE" --key-credential=holdfast --output="$SHARE/rotated"
[[ $SAID == *"--output=$SHARE/rotated lies in the shared directory"* && ! -e $SHARE/rotated ]] || fail "a key is put in the share: $SAID"
step "nor is the file where its key came from, under a daemon that does not read it again"
cp "$KEYS/key" "$TMP/before"
for helper in "" --key-helper; do
	# shellcheck disable=SC2086 # none or one
	daemon_start b --key-credential=holdfast $helper
	daemon_stop a
	expect_exit 5 timeout 10 "$HOLDFAST" rotate-key --state-dir="$STATE" --key-file="$KEYS/key"
	[[ $SAID == *"has read its key once"*--output=* && $SAID != *$'\n'* ]] || fail "rotate-key under a daemon that keeps its key: $SAID"
	cmp "$KEYS/key" "$TMP/before" || fail "the key file was written"
	drop_caches
	ON=b catalogue_check
	daemon_start a --key-credential=holdfast
	daemon_stop b
done
run "$HOLDFAST" rotate-key --state-dir="$STATE" --key-file="$KEYS/key" --output="$TMP/later" >/dev/null
daemon_refuses 5 --state-dir="$STATE" --key-file="$TMP/later"
[[ $SAID == *"stop them all"* ]] || fail "another sealing key beside a daemon that keeps its: $SAID"
run "$HOLDFAST" rotate-key --state-dir="$STATE" --key-credential=holdfast --output="$TMP/rotated" >/dev/null
run cp "$TMP/rotated" "$CREDENTIALS_DIRECTORY/holdfast"
daemon_refuses 5 --state-dir="$STATE" --key-credential=holdfast
[[ $SAID == *"stop them all"* ]] || fail "a daemon with another sealing key beside one: $SAID"
daemon_restart term
within 10 grep -q "everything is sealed with key 3" "${LOG[a]}" || fail "the map is not sealed anew"
catalogue_check

step "a revoke where the key is read-only, in daemons that run"
cp "$STATE"/map.db* "$TMP"
device_start d --key-credential=holdfast --key-helper
run "$HOLDFAST" revoke --yes --state-dir="$STATE" --key-credential=holdfast
grep -av $'\t\\.$' "$CAT" >"$TMP/old"
drop_caches
sleep 1
FROM=$TMP/old catalogue_check --expect-stale
device_stop d
umount -l "${MOUNT[a]}"
within 10 daemon_dead a || daemon_kill9
unset "PID[a]"
daemon_start a --key-credential=holdfast
FROM=$TMP/old catalogue_check --expect-stale
catalogue_take "$TMP/new"
daemon_stop
step "and no map of before, nor a lost root-generation beside a map of now, undoes it"
mkdir "$TMP/now" && cp "$STATE"/map.db* "$TMP/now"
rm -f "$STATE"/map.db* && cp "$TMP"/map.db* "$STATE"
daemon_start a --key-credential=holdfast
FROM=$TMP/old catalogue_check --expect-stale
find "${MOUNT[a]}" >/dev/null # what the older map lacks comes back with the next look
FROM=$TMP/new catalogue_check
FROM=$TMP/old catalogue_check --expect-stale
daemon_stop
mv "$STATE/root-generation" "$TMP"
daemon_refuses 5 --state-dir="$STATE" --key-credential=holdfast
[[ $SAID == *"older than the last revoke"* ]] || fail "a lost root-generation: $SAID"
rm -rf /run/holdfast
daemon_refuses 5 --state-dir="$STATE" --key-credential=holdfast
head -c 63 "$TMP/root-generation" >"$STATE/root-generation"
daemon_refuses 5 --state-dir="$STATE" --key-credential=holdfast
{
	head -c 12 "$TMP/root-generation"
	printf '\377'
	tail -c +14 "$TMP/root-generation"
} >"$STATE/root-generation"
daemon_refuses 5 --state-dir="$STATE" --key-credential=holdfast
[[ $SAID == *"is damaged"* ]] || fail "a changed root-generation: $SAID"
cp "$TMP/root-generation" "$STATE"
daemon_start a --key-credential=holdfast --key-helper
FROM=$TMP/new catalogue_check
daemon_stop
