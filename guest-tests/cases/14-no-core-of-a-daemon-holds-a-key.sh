#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 300
# weight: 40
# In a guest, whose kernel gives cores to a program, as systemd-coredump has it: guest-tests/host has the case itself.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/lib/guest.sh"
. "$ROOT/guest-tests/lib/host.sh"

host_disk build/holdfast build/tests/{keyscan,catalogue,dumpable.so} guest-tests/host
host_boot h 6.12
guest_do h 'echo "|/bin/dd of=/tmp/core.%P bs=65536" >/proc/sys/kernel/core_pattern'
host_case h no-core-of-a-daemon-holds-a-key 200
guest_kill h
