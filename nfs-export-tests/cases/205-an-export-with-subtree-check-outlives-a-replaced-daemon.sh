#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 1200
# weight: 60
# Its handles hold the parent too, and every request walks up from the file: as case 200 otherwise.
NFS_SUBTREE=subtree_check
. "$(dirname "$0")/200-held-files-stay-the-same-over-a-replaced-daemon.sh"
