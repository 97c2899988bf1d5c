/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fedevice.c - a device brought up step by step, in the order in which QEMU does it.
 */
#include "fedevice.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/util.h"

#define CONNECT_MS 10000
#define INFLIGHT_BYTES 24

void fedevice_init(struct fedevice *dev, const struct fedevice_options *options)
{
	memset(dev, 0, sizeof(*dev));
	dev->options = *options;
	if (!dev->options.request_queues)
		dev->options.request_queues = 1;
	if (!dev->options.size)
		dev->options.size = 128;
	dev->fe.sock = -1;
	dev->inflight_fd = -1;
	femem_init(&dev->mem);
}

void fedevice_hang_up(struct fedevice *dev)
{
	frontend_close(&dev->fe);
}

void fedevice_close(struct fedevice *dev)
{
	frontend_close(&dev->fe);
	for (unsigned i = 0; i < dev->ring_count; i++)
		fering_free(&dev->rings[i]);
	dev->ring_count = 0;
	dev->inflight_fd = fd_close(dev->inflight_fd);
	femem_free(&dev->mem);
}

int fedevice_negotiate(struct fedevice *dev)
{
	const struct fedevice_options *o = &dev->options;
	const uint64_t features = FE_F_V1 | FE_F_PROTOCOL | (o->no_event_idx ? 0 : FE_F_EVENT_IDX) |
				  (o->no_indirect ? 0 : FE_F_INDIRECT);
	const uint64_t protocol =
		FE_P_MQ | FE_P_CONFIG | FE_P_RESET_DEVICE | (o->no_reply_ack ? 0 : FE_P_REPLY_ACK) |
		(o->no_mem_slots ? 0 : FE_P_MEM_SLOTS) | (o->inflight ? FE_P_INFLIGHT : 0);

	return frontend_negotiate(&dev->fe, features, protocol);
}

int fedevice_make_rings(struct fedevice *dev)
{
	const unsigned count = dev->options.request_queues + 1;
	uint64_t region = dev->options.ring_region;
	int ret = 0;

	if (count > FEDEVICE_RINGS_MAX)
		return -EINVAL;
	if (!dev->mem.count)
		ret = femem_add(&dev->mem, FEDEVICE_BASE, FEDEVICE_MEMORY);
	if (!region && dev->mem.count)
		region = dev->mem.regions[0].guest;
	while (!ret && dev->ring_count < count) {
		ret = fering_new(&dev->rings[dev->ring_count], &dev->mem, region, dev->options.size,
				 dev->fe.features & FE_F_EVENT_IDX,
				 dev->fe.features & FE_F_INDIRECT);
		if (!ret)
			dev->ring_count++;
	}
	return ret;
}

/* --- memory ------------------------------------------------------------------------------------------------ */

static int tell_slot(struct fedevice *dev, uint32_t request, const struct femem_region *r)
{
	union vhost_payload payload = { .slot = { .region = femem_wire(r) } };

	return frontend_tell(&dev->fe, request, &payload, sizeof(payload.slot), &r->fd,
			     request == VHOST_ADD_MEM_REG ? 1 : 0);
}

int fedevice_share_memory(struct fedevice *dev)
{
	union vhost_payload payload = { .memory = { .count = dev->mem.count } };
	int fds[VHOST_FDS_MAX];
	int ret = 0;

	if (dev->mem.count > VHOST_FDS_MAX) {
		for (unsigned i = 0; i < dev->mem.count && !ret; i++)
			ret = tell_slot(dev, VHOST_ADD_MEM_REG, &dev->mem.regions[i]);
		return ret;
	}
	for (unsigned i = 0; i < dev->mem.count; i++) {
		payload.memory.regions[i] = femem_wire(&dev->mem.regions[i]);
		fds[i] = dev->mem.regions[i].fd;
	}
	return frontend_tell(&dev->fe, VHOST_SET_MEM_TABLE, &payload,
			     8 + dev->mem.count * sizeof(struct vhost_region), fds, dev->mem.count);
}

int fedevice_plug(struct fedevice *dev, uint64_t guest)
{
	const struct femem_region *r = femem_region(&dev->mem, guest);

	return r ? tell_slot(dev, VHOST_ADD_MEM_REG, r) : -ENOENT;
}

int fedevice_unplug(struct fedevice *dev, uint64_t guest)
{
	const struct femem_region *r = femem_region(&dev->mem, guest);
	int ret = r ? tell_slot(dev, VHOST_REM_MEM_REG, r) : -ENOENT;

	return ret ? ret : femem_remove(&dev->mem, guest);
}

int fedevice_share_inflight(struct fedevice *dev)
{
	struct frontend_answer answer;
	int ret;

	if (dev->inflight_fd < 0) {
		dev->inflight.inflight.queues = (uint16_t)dev->ring_count;
		dev->inflight.inflight.queue_size = (uint16_t)dev->options.size;
		ret = frontend_ask(&dev->fe, VHOST_GET_INFLIGHT_FD, &dev->inflight, INFLIGHT_BYTES,
				   &answer);
		if (ret)
			return ret;
		if (answer.fd < 0)
			return -EPROTO;
		dev->inflight.inflight.size = answer.payload.inflight.size;
		dev->inflight.inflight.offset = answer.payload.inflight.offset;
		dev->inflight_fd = answer.fd;
	}
	return frontend_tell(&dev->fe, VHOST_SET_INFLIGHT_FD, &dev->inflight, INFLIGHT_BYTES,
			     &dev->inflight_fd, 1);
}

/* --- rings ------------------------------------------------------------------------------------------------- */

int fedevice_ring_num(struct fedevice *dev, unsigned ring)
{
	return frontend_tell_state(&dev->fe, VHOST_SET_VRING_NUM, ring, dev->rings[ring].size);
}

int fedevice_ring_base(struct fedevice *dev, unsigned ring, uint16_t base)
{
	return frontend_tell_state(&dev->fe, VHOST_SET_VRING_BASE, ring, base);
}

int fedevice_ring_addr(struct fedevice *dev, unsigned ring)
{
	const struct fering *r = &dev->rings[ring];
	const union vhost_payload payload = { .addr = { .index = ring,
							.desc = (uintptr_t)r->desc,
							.avail = (uintptr_t)r->avail,
							.used = (uintptr_t)r->used } };

	return frontend_tell(&dev->fe, VHOST_SET_VRING_ADDR, &payload, sizeof(payload.addr), NULL,
			     0);
}

static int tell_fd(struct fedevice *dev, uint32_t request, unsigned ring, int fd)
{
	const uint64_t index = ring | (fd < 0 ? VHOST_RING_NO_FD : 0);

	return frontend_tell(&dev->fe, request, &index, sizeof(index), &fd, fd < 0 ? 0 : 1);
}

int fedevice_ring_kick(struct fedevice *dev, unsigned ring)
{
	return tell_fd(dev, VHOST_SET_VRING_KICK, ring, dev->rings[ring].kick);
}

int fedevice_ring_call(struct fedevice *dev, unsigned ring)
{
	return tell_fd(dev, VHOST_SET_VRING_CALL, ring, dev->rings[ring].call);
}

int fedevice_ring_enable(struct fedevice *dev, unsigned ring, bool enable)
{
	return frontend_tell_state(&dev->fe, VHOST_SET_VRING_ENABLE, ring, enable);
}

int fedevice_ring_start(struct fedevice *dev, unsigned ring, uint16_t base)
{
	int ret = fedevice_ring_num(dev, ring);

	if (!ret)
		ret = fedevice_ring_base(dev, ring, base);
	if (!ret)
		ret = fedevice_ring_addr(dev, ring);
	if (!ret)
		ret = fedevice_ring_kick(dev, ring);
	if (!ret)
		ret = fedevice_ring_call(dev, ring);
	if (!ret)
		ret = fedevice_ring_enable(dev, ring, true);
	if (!ret)
		(void)eventfd_write(dev->rings[ring].kick, 1);
	return ret;
}

int fedevice_ring_stop(struct fedevice *dev, unsigned ring, uint16_t *base)
{
	const uint32_t state[2] = { ring, 0 };
	struct frontend_answer answer;
	int ret = frontend_ask(&dev->fe, VHOST_GET_VRING_BASE, state, sizeof(state), &answer);

	if (ret)
		return ret;
	if (answer.header.size != sizeof(state) || answer.payload.state.index != ring)
		return -EPROTO;
	*base = (uint16_t)answer.payload.state.num;
	return 0;
}

/* --- all of it ---------------------------------------------------------------------------------------------- */

static int bring_up(struct fedevice *dev)
{
	int ret = fedevice_negotiate(dev);

	if (!ret)
		ret = fedevice_make_rings(dev);
	if (!ret)
		ret = fedevice_share_memory(dev);
	if (!ret && dev->options.inflight)
		ret = fedevice_share_inflight(dev);
	for (unsigned i = 0; i < dev->ring_count && !ret; i++)
		ret = fedevice_ring_start(dev, i, fering_base(&dev->rings[i]));
	return ret;
}

int fedevice_open(struct fedevice *dev, const char *path)
{
	int ret = frontend_connect(&dev->fe, path, CONNECT_MS);

	return ret ? ret : bring_up(dev);
}

int fedevice_open_socket(struct fedevice *dev, int sock)
{
	frontend_adopt(&dev->fe, sock);
	return bring_up(dev);
}

int fedevice_reconnect(struct fedevice *dev, const char *path)
{
	fedevice_hang_up(dev);
	return fedevice_open(dev, path);
}
