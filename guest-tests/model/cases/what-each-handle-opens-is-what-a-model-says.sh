#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 600
# weight: 60
# 300 random sequences of what guest and host do, with restarts, kills and a lost map in between, beside a model in memory
# that says what each handle must open. Four shares at a time, since most of it is waiting for scans. MODEL_SEED repeats a
# run, MODEL_COUNT makes it longer; the seeds are printed.
. "$ROOT/tests/lib/case.sh"

SHARES=4
# The same seed each time, so that a run can be repeated; test-full tries new ones.
seed=${MODEL_SEED:-$((FULL ? RANDOM * 32768 + RANDOM : 20261125))}
count=${MODEL_COUNT:-$((FULL ? 3000 : 300))}
# The sockets' paths must be short, and the shares' handles must persist.
mkdir -p "$TMP/model" /run/model
run mount --bind "$TMP/model" /run/model
models=()
for ((i = 0; i < SHARES; i++)); do
	mkdir "/run/model/$i"
	"$ROOT/build/native/model" "$HOLDFAST" "/run/model/$i" $((seed + i)) $((count / SHARES)) >"$TMP/said-$i" 2>&1 &
	models+=($!)
done
failed=()
for ((i = 0; i < SHARES; i++)); do
	wait "${models[i]}" || failed+=($((seed + i)))
	cat "$TMP/said-$i"
done
((!${#failed[@]})) || fail "a handle is not what the model says: seed ${failed[*]}, of $((count / SHARES)) sequences"
