/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostline.c - rings started and stopped, as the front-end's messages come.
 *
 * A ring runs when it has size, addresses, kick and memory, and is enabled. GET_VRING_BASE stops it and keeps it: a front-end
 * that only paused the guest goes on with the same ring, whose requests that wait for locks are in flight still. Whether it
 * is the same is seen from the indices; if not (the guest began anew), what was in flight is forgotten.
 *
 * Called by the connection's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/vhostuser_private.h"

void vhostline_init(struct vhostline *line)
{
	memset(line, 0, sizeof(*line));
	line->kick = -1;
	line->call = -1;
	line->err = -1;
}

void vhostline_drop_ring(struct vhostline *line)
{
	if (!line->ring)
		return;
	vhostring_drop(line->ring);
	vhostring_unref(line->ring);
	line->ring = NULL;
}

/*
 * Of what the front-end wants started: the ring that was stopped; that ring at another place, or one of an earlier connection,
 * so that the record, if there is one, knows what is in flight; or another.
 */
enum origin { ORIGIN_SAME, ORIGIN_MOVED, ORIGIN_NEW };

static enum origin origin_of(const struct vhostline *line, const struct vhostuser *dev)
{
	const struct vring *ring = line->ring ? line->ring->ring : NULL;
	uint16_t used;

	if (!ring)
		return ORIGIN_MOVED;
	if (vring_base(ring) != line->setup.base)
		return ORIGIN_NEW;
	if (vring_used_index(&line->setup, dev->memory, &used))
		return ORIGIN_MOVED; /* to where there is no memory; make_ring() says so */
	if ((uint16_t)(line->setup.base - used) != vring_in_flight(ring))
		return ORIGIN_NEW;
	return vring_same(ring, &line->setup) ? ORIGIN_SAME : ORIGIN_MOVED;
}

int vhostline_share_call(struct vhostline *line)
{
	int fd = -1;

	if (line->call >= 0) {
		fd = fcntl(line->call, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return errno_neg();
	}
	vhostring_set_call(line->ring, fd);
	return 0;
}

static int make_ring(struct vhostuser *dev, unsigned index)
{
	struct vhostline *line = &dev->lines[index];
	struct vring *ring;
	int ret;

	vhostline_drop_ring(line);
	line->setup.inflight = dev->inflight;
	line->setup.inflight_queue = index;
	ret = vring_new(&line->setup, dev->memory, &ring);
	if (ret == -EFAULT || ret == -EINVAL || ret == -EPROTO) {
		(void)snprintf(dev->why, sizeof(dev->why),
			       "queue %u: a ring of %u descriptors at 0x%llx is not in the memory, "
			       "or its record of requests in flight makes no sense",
			       index, line->setup.size, (unsigned long long)line->setup.desc.v);
		return -EPROTO;
	}
	if (ret)
		return ret;
	ret = vhostring_new(ring, &dev->env.notifications, &line->ring);
	if (ret) {
		vring_free(ring);
		return ret;
	}
	return vhostline_share_call(line);
}

static int ring_gone(struct vhostuser *dev, unsigned index)
{
	(void)snprintf(dev->why, sizeof(dev->why), "queue %u: its ring is not in the new memory",
		       index);
	return -EPROTO;
}

/* But for a queue that has stopped by itself: the connection ends with the next look at what comes of it. */
static void run(struct vhostuser *dev, struct vhostline *line)
{
	if (vhostqueue_error(line->queue))
		return;
	vhostring_go_on(line->ring);
	vhostqueue_run(line->queue, line->ring, line->kick);
	atomic_fetch_add(&dev->queues, 1);
}

int vhostline_start(struct vhostuser *dev, unsigned index)
{
	struct vhostline *line = &dev->lines[index];
	enum origin origin;
	int ret = 0;

	if (!line->setup.size || !line->has_addr || !line->has_kick || !line->enabled ||
	    guestmem_count(dev->memory) == 0 || (line->queue && vhostqueue_running(line->queue)))
		return 0;
	line->setup.event_idx = dev->features & VIRTIO_F_EVENT_IDX;
	line->setup.indirect = dev->features & VIRTIO_F_INDIRECT_DESC;
	origin = origin_of(line, dev);
	if (origin == ORIGIN_NEW && dev->inflight)
		inflight_clear_queue(dev->inflight, index);
	if (origin != ORIGIN_SAME)
		ret = make_ring(dev, index);
	else if (vring_set_memory(line->ring->ring, dev->memory))
		ret = ring_gone(dev, index);
	if (!ret && !line->queue)
		ret = vhostqueue_new(&dev->env, index, &line->queue);
	if (ret)
		return ret;
	run(dev, line);
	log_debug("vhost-user: queue %u runs: %u descriptors, from %u", index, line->setup.size,
		  line->setup.base);
	return 0;
}

void vhostline_halt(struct vhostuser *dev, unsigned index)
{
	struct vhostline *line = &dev->lines[index];

	if (!line->queue || !vhostqueue_running(line->queue))
		return;
	vhostqueue_halt(line->queue);
	vhostpool_drain(dev->env.pool, line->ring);
	vhostring_stop(line->ring);
	line->setup.base = vring_base(line->ring->ring);
	atomic_fetch_sub(&dev->queues, 1);
}

void vhostline_clear(struct vhostuser *dev, unsigned index)
{
	struct vhostline *line = &dev->lines[index];
	struct vhostqueue *queue = line->queue;

	vhostline_halt(dev, index);
	vhostline_drop_ring(line);
	(void)fd_close(line->kick);
	(void)fd_close(line->call);
	(void)fd_close(line->err);
	vhostline_init(line);
	line->queue = queue; /* the thread may serve again */
}

int vhostline_new_memory(struct vhostuser *dev, struct guestmem *memory)
{
	bool ran[VHOSTUSER_QUEUES_MAX] = { false };
	int ret = 0;

	for (unsigned i = 0; i < VHOSTUSER_QUEUES_MAX; i++) {
		const struct vhostline *line = &dev->lines[i];

		ran[i] = line->queue && vhostqueue_running(line->queue);
		if (ran[i])
			vhostline_halt(dev, i);
	}
	guestmem_unref(dev->memory);
	dev->memory = memory;
	for (unsigned i = 0; i < VHOSTUSER_QUEUES_MAX && !ret; i++) {
		struct vhostline *line = &dev->lines[i];

		if (!ran[i])
			continue;
		if (vring_set_memory(line->ring->ring, memory))
			ret = ring_gone(dev, i);
		else
			run(dev, line);
	}
	return ret;
}
