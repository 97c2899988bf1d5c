/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * export_complete.c - whether the map holds all that guests have seen: what a start makes of it, and what an end leaves.
 *
 * Nothing is called stale for being unknown while records may have been lost. The map remembers COMPLETE (no scan is
 * due) and CLEAN (the last daemon has left, and all was drained); the ring, which boot of the host it was settled in. Main
 * thread.
 */
#include <fcntl.h>

#include "base/log.h"
#include "base/util.h"
#include "export/core.h"
#include "export/map_files.h"

static int daemons_lock_byte(struct export *x, enum daemons_byte byte, short type, bool wait)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	return fcntl(x->daemons, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock) < 0 ? errno_neg() : 0;
}

/* Takes (exclusive, shared) the lock by which daemons count each other. */
static int daemons_lock(struct export *x, short type, bool wait)
{
	return daemons_lock_byte(x, DAEMONS_BYTE_SERVE, type, wait);
}

/* Opens the file of these locks, and says there if we are one whom no rotation may pass by. 0 or -errno. */
static int daemons_open(struct export *x)
{
	x->daemons = openat(x->config.statedir, DAEMONS_LOCK_FILE,
			    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (x->daemons < 0)
		return errno_neg();
	if (keysource_is_file(x->config.key))
		return 0;
	return daemons_lock_byte(x, DAEMONS_BYTE_KEY_KEPT, F_RDLCK, true);
}

int complete_settle(struct export *x, struct epoch *e, bool first_run, bool map_created)
{
	const uint64_t boot = x->config.boot;
	uint64_t complete = 0, clean = 0;
	bool first;
	int ret = daemons_open(x);

	if (ret)
		return ret;
	/* Who has it exclusively is opening or leaving, and done with the fields in a moment. */
	first = daemons_lock(x, F_WRLCK, false) == 0;
	if (!first) {
		ret = daemons_lock(x, F_RDLCK, true);
		if (ret)
			return ret;
	}
	if (!first_run && !map_created) {
		ret = map_field_get(e->map, MAP_COMPLETE, &complete);
		if (!ret)
			ret = map_field_get(e->map, MAP_CLEAN, &clean);
		if (ret)
			return ret;
	}
	if (first_run)
		complete = 1;
	if (first && ring_shared_get(x->ring, RING_SETTLED) != boot && !clean && !first_run &&
	    complete) {
		log_info(
			"map: the host went down while the share was served; the share is scanned");
		complete = 0;
	}
	if (ring_shared_get(x->ring, RING_OVERFLOWED) || x->config.rebuild)
		complete = 0;
	ret = map_field_set(e->map, MAP_COMPLETE, complete);
	if (!ret)
		ret = map_field_set(e->map, MAP_CLEAN, 0);
	/* Last: who ends before has settled nothing. */
	if (!ret)
		ring_shared_set(x->ring, RING_SETTLED, boot);
	atomic_store(&x->complete, complete != 0);
	if (!ret)
		ret = daemons_lock(x, F_RDLCK, true);
	return ret;
}

void complete_leave(struct export *x)
{
	struct epoch *e = x->epoch;
	bool served = e->drain; /* else we opened half, and what the ring holds was not taken in */
	int ret = drain_stop(e->drain, DRAIN_TIMEOUT_MS);

	e->drain = NULL;
	/* Records that were lost are known to the ring alone, which a restart of the host takes away. */
	if (served && ret == 0 && daemons_lock(x, F_WRLCK, false) == 0 &&
	    !ring_shared_get(x->ring, RING_OVERFLOWED))
		map_field_set(e->map, MAP_CLEAN, 1);
	fd_close(x->daemons);
}
