#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 400
# weight: 100
# A build, git, SQLite with locks, files against a model, copies of trees, in a guest with Linux 6.12.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/lib/guest.sh"
. "$ROOT/guest-tests/lib/work.sh"

work_start --cache=auto
work_build
work_git
work_sqlite
work_model
work_copies
work_end
