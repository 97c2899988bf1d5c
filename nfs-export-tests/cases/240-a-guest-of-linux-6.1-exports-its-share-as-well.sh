#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 1200
# weight: 60
# The short round with an older kernel: case 200.
KERNEL=6.1
. "$(dirname "$0")/200-held-files-stay-the-same-over-a-replaced-daemon.sh"
