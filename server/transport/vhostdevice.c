/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostdevice.c - what each vhost-user message means to a virtio-fs device.
 *
 * One function for each kind, one table of them. The form was checked when the message was read (vhostmsg.c); here
 * stand the checks of what the numbers mean. What a front-end must not send ends its connection, with one line that says
 * what it was. Called by the connection's thread.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/vhostuser_private.h"

/* Protocol features, by their bits. */
#define PROTOCOL_MQ (1ULL << 0)
#define PROTOCOL_REPLY_ACK (1ULL << 3)
#define PROTOCOL_CONFIG (1ULL << 9)
#define PROTOCOL_INFLIGHT (1ULL << 12)
#define PROTOCOL_RESET_DEVICE (1ULL << 13)
#define PROTOCOL_MEM_SLOTS (1ULL << 15)

/* As <linux/virtio_fs.h> has it: the tag is not terminated when it is full. */
struct fs_config {
	char tag[VHOSTUSER_TAG_MAX];
	uint32_t num_request_queues;
};

__attribute__((format(printf, 2, 3))) static int wrong(struct vhostuser *dev, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(dev->why, sizeof(dev->why), fmt, ap);
	va_end(ap);
	return -EPROTO;
}

static int answer_u64(struct vhostuser *dev, struct vhost_msg *msg, uint64_t value)
{
	msg->need_reply = false;
	return vhostmsg_reply(dev->sock, msg, &value, sizeof(value), -1);
}

/* --- features ---------------------------------------------------------------------------------------- */

static uint64_t offered_features(void)
{
	return VIRTIO_F_V1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX |
	       VHOST_F_PROTOCOL_FEATURES;
}

static uint64_t offered_protocol(const struct vhostuser *dev)
{
	return PROTOCOL_MQ | PROTOCOL_REPLY_ACK | PROTOCOL_INFLIGHT | PROTOCOL_RESET_DEVICE |
	       PROTOCOL_MEM_SLOTS | (dev->tag[0] ? PROTOCOL_CONFIG : 0);
}

static int get_features(struct vhostuser *dev, struct vhost_msg *msg)
{
	return answer_u64(dev, msg, offered_features());
}

static int set_features(struct vhostuser *dev, struct vhost_msg *msg)
{
	uint64_t features = msg->payload.u64;

	if (features & ~offered_features())
		return wrong(dev, "SET_FEATURES: 0x%llx were not offered",
			     (unsigned long long)(features & ~offered_features()));
	dev->features = features;
	/* Without protocol features there is no SET_VRING_ENABLE: rings are enabled from the start. */
	if (!(features & VHOST_F_PROTOCOL_FEATURES))
		for (unsigned i = 0; i < VHOSTUSER_QUEUES_MAX; i++)
			dev->lines[i].enabled = true;
	return 0;
}

static int get_protocol_features(struct vhostuser *dev, struct vhost_msg *msg)
{
	return answer_u64(dev, msg, offered_protocol(dev));
}

static int set_protocol_features(struct vhostuser *dev, struct vhost_msg *msg)
{
	uint64_t features = msg->payload.u64;

	if (features & ~offered_protocol(dev))
		return wrong(dev, "SET_PROTOCOL_FEATURES: 0x%llx were not offered",
			     (unsigned long long)(features & ~offered_protocol(dev)));
	dev->protocol = features;
	return 0;
}

static int get_queue_num(struct vhostuser *dev, struct vhost_msg *msg)
{
	return answer_u64(dev, msg, VHOSTUSER_QUEUES_MAX);
}

static int get_max_mem_slots(struct vhostuser *dev, struct vhost_msg *msg)
{
	return answer_u64(dev, msg, GUESTMEM_REGIONS_MAX);
}

static int nothing(struct vhostuser *dev, struct vhost_msg *msg)
{
	(void)dev;
	(void)msg;
	return 0;
}

/* --- memory -------------------------------------------------------------------------------------------- */

static struct guestmem_region region_of(const struct vhost_region *r)
{
	return (struct guestmem_region){
		.guest.v = r->guest, .size = r->size, .frontend.v = r->frontend, .offset = r->offset
	};
}

/* Replaces *memory by itself and one region more. */
static int add_region(struct vhostuser *dev, struct vhost_msg *msg, struct guestmem **memory,
		      const struct vhost_region *from, unsigned fd)
{
	struct guestmem_region region = region_of(from);
	struct guestmem *more;
	int ret = guestmem_add(*memory, &region, msg->fds[fd], &more);

	if (ret == -EINVAL)
		return wrong(dev,
			     "%s: a region of 0x%llx bytes at 0x%llx, offset 0x%llx: empty, "
			     "overlapping, longer than its file, or one too many",
			     vhostmsg_name(msg->request), (unsigned long long)from->size,
			     (unsigned long long)from->guest, (unsigned long long)from->offset);
	if (ret)
		return ret;
	guestmem_unref(*memory);
	*memory = more;
	return 0;
}

static int set_mem_table(struct vhostuser *dev, struct vhost_msg *msg)
{
	struct guestmem *memory;
	int ret = guestmem_new(&memory);

	if (ret)
		return ret;
	for (unsigned i = 0; i < msg->payload.memory.count && !ret; i++)
		ret = add_region(dev, msg, &memory, &msg->payload.memory.regions[i], i);
	if (ret) {
		guestmem_unref(memory);
		return ret;
	}
	return vhostline_new_memory(dev, memory);
}

static int add_mem_reg(struct vhostuser *dev, struct vhost_msg *msg)
{
	struct guestmem *memory = guestmem_ref(dev->memory);
	int ret = add_region(dev, msg, &memory, &msg->payload.slot.region, 0);

	if (ret) {
		guestmem_unref(memory);
		return ret;
	}
	return vhostline_new_memory(dev, memory);
}

static int rem_mem_reg(struct vhostuser *dev, struct vhost_msg *msg)
{
	struct guestmem_region region = region_of(&msg->payload.slot.region);
	struct guestmem *memory;
	int ret = guestmem_remove(dev->memory, &region, &memory);

	if (ret == -ENOENT)
		return wrong(dev, "REM_MEM_REG: there is no region of 0x%llx bytes at 0x%llx",
			     (unsigned long long)region.size, (unsigned long long)region.guest.v);
	return ret ? ret : vhostline_new_memory(dev, memory);
}

/* --- rings --------------------------------------------------------------------------------------------- */

/* The queue that a message is about, or NULL with dev->why. */
static struct vhostline *line_of(struct vhostuser *dev, const struct vhost_msg *msg, uint32_t index)
{
	if (index < VHOSTUSER_QUEUES_MAX)
		return &dev->lines[index];
	(void)wrong(dev, "%s: there is no queue %u", vhostmsg_name(msg->request), index);
	return NULL;
}

static bool runs(const struct vhostline *line)
{
	return line->queue && vhostqueue_running(line->queue);
}

static int set_vring_num(struct vhostuser *dev, struct vhost_msg *msg)
{
	uint32_t num = msg->payload.state.num;
	struct vhostline *line = line_of(dev, msg, msg->payload.state.index);

	if (!line)
		return -EPROTO;
	if (runs(line) || !num || num > VRING_SIZE_MAX || num & (num - 1))
		return wrong(dev, "SET_VRING_NUM: queue %u cannot have %u descriptors%s",
			     msg->payload.state.index, num, runs(line) ? " now: it runs" : "");
	line->setup.size = num;
	return 0;
}

static int set_vring_addr(struct vhostuser *dev, struct vhost_msg *msg)
{
	unsigned index = msg->payload.addr.index;
	struct vhostline *line = line_of(dev, msg, index);

	if (!line)
		return -EPROTO;
	if (msg->payload.addr.flags)
		return wrong(dev, "SET_VRING_ADDR: flags 0x%x were not offered",
			     msg->payload.addr.flags);
	/* One that runs goes on at the new place. */
	vhostline_halt(dev, index);
	line->setup.desc.v = msg->payload.addr.desc;
	line->setup.avail.v = msg->payload.addr.avail;
	line->setup.used.v = msg->payload.addr.used;
	line->has_addr = true;
	return vhostline_start(dev, index);
}

static int set_vring_base(struct vhostuser *dev, struct vhost_msg *msg)
{
	struct vhostline *line = line_of(dev, msg, msg->payload.state.index);

	if (!line)
		return -EPROTO;
	if (runs(line) || msg->payload.state.num > UINT16_MAX)
		return wrong(dev, "SET_VRING_BASE: queue %u cannot begin at %u%s",
			     msg->payload.state.index, msg->payload.state.num,
			     runs(line) ? " now: it runs" : "");
	line->setup.base = (uint16_t)msg->payload.state.num;
	return 0;
}

static int get_vring_base(struct vhostuser *dev, struct vhost_msg *msg)
{
	unsigned index = msg->payload.state.index;
	struct vhostline *line = line_of(dev, msg, index);

	if (!line)
		return -EPROTO;
	vhostline_halt(dev, index);
	line->has_kick = false;
	line->kick = fd_close(line->kick);
	msg->payload.state.num = line->setup.base;
	msg->need_reply = false;
	return vhostmsg_reply(dev->sock, msg, &msg->payload, sizeof(msg->payload.state), -1);
}

/*
 * The eventfd of a kick or a call. We must not be held up by it; what is no eventfd (they have no file type) could hold us up
 * in many ways. The front-end shares the flag: one that takes it away again can hold its own device up until that is killed
 * (doc/security.md).
 */
static int take_eventfd(struct vhostuser *dev, struct vhost_msg *msg, int *out)
{
	struct stat st;
	int flags;
	int fd = vhostmsg_take_fd(msg, 0);

	*out = fd;
	if (fd < 0)
		return 0; /* none, as the message says */
	flags = fcntl(fd, F_GETFL);
	if (fstat(fd, &st) == 0 && !(st.st_mode & S_IFMT) && flags >= 0 &&
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0)
		return 0;
	*out = fd_close(fd);
	return wrong(dev, "%s: the descriptor is no eventfd", vhostmsg_name(msg->request));
}

static int set_vring_kick(struct vhostuser *dev, struct vhost_msg *msg)
{
	unsigned index = msg->payload.u64 & VHOST_RING_INDEX;
	struct vhostline *line = line_of(dev, msg, index);
	int fd;
	int ret;

	if (!line)
		return -EPROTO;
	ret = take_eventfd(dev, msg, &fd);
	if (ret)
		return ret;
	vhostline_halt(dev, index);
	(void)fd_close(line->kick);
	line->kick = fd;
	line->has_kick = true;
	return vhostline_start(dev, index);
}

static int set_vring_call(struct vhostuser *dev, struct vhost_msg *msg)
{
	struct vhostline *line = line_of(dev, msg, msg->payload.u64 & VHOST_RING_INDEX);
	int ret = line ? 0 : -EPROTO;
	int fd;

	if (!ret)
		ret = take_eventfd(dev, msg, &fd);
	if (ret)
		return ret;
	(void)fd_close(line->call);
	line->call = fd;
	if (!line->ring)
		return 0;
	ret = vhostline_share_call(line);
	/* What was pushed while nobody could be told. */
	if (!ret)
		vhostring_notify(line->ring);
	return ret;
}

static int set_vring_err(struct vhostuser *dev, struct vhost_msg *msg)
{
	struct vhostline *line = line_of(dev, msg, msg->payload.u64 & VHOST_RING_INDEX);

	if (!line)
		return -EPROTO;
	(void)fd_close(line->err);
	return take_eventfd(dev, msg, &line->err);
}

static int set_vring_enable(struct vhostuser *dev, struct vhost_msg *msg)
{
	unsigned index = msg->payload.state.index;
	struct vhostline *line = line_of(dev, msg, index);

	if (!line)
		return -EPROTO;
	if (!(dev->features & VHOST_F_PROTOCOL_FEATURES))
		return wrong(dev, "SET_VRING_ENABLE: protocol features were not agreed on");
	line->enabled = msg->payload.state.num != 0;
	if (line->enabled)
		return vhostline_start(dev, index);
	vhostline_halt(dev, index);
	return 0;
}

/* All of the device as it was at the beginning, but for memory and what was agreed on. */
static int reset_device(struct vhostuser *dev, struct vhost_msg *msg)
{
	(void)msg;
	for (unsigned i = 0; i < VHOSTUSER_QUEUES_MAX; i++)
		vhostline_clear(dev, i);
	if (dev->inflight)
		inflight_clear(dev->inflight);
	fuse_server_reset(dev->server);
	return 0;
}

/* --- what is in flight ------------------------------------------------------------------------------------ */

static int get_inflight_fd(struct vhostuser *dev, struct vhost_msg *msg)
{
	uint64_t size;
	int fd;
	int ret = inflight_create(msg->payload.inflight.queues, msg->payload.inflight.queue_size,
				  &fd, &size);

	if (ret == -EINVAL)
		return wrong(dev, "GET_INFLIGHT_FD: %u queues of %u descriptors",
			     msg->payload.inflight.queues, msg->payload.inflight.queue_size);
	if (ret)
		return ret;
	msg->payload.inflight.size = size;
	msg->payload.inflight.offset = 0;
	msg->need_reply = false;
	ret = vhostmsg_reply(dev->sock, msg, &msg->payload, msg->size, fd);
	(void)fd_close(fd);
	return ret;
}

/* Notes the session in the record that belongs to its rings. */
static void keep_session(void *arg, const struct fuse_agreement *agreement)
{
	struct vhostuser *dev = arg;

	static_assert(sizeof(*agreement) <= INFLIGHT_NOTE_MAX, "it fits");
	inflight_note(dev->inflight, agreement, agreement ? sizeof(*agreement) : 0);
}

/* The guest that comes with this record may have had its session from an earlier daemon, and knows of no other. */
static void resume_session(struct vhostuser *dev)
{
	struct fuse_agreement agreement;
	int error;

	if (!inflight_noted(dev->inflight, &agreement, sizeof(agreement)))
		return;
	error = fuse_server_resume(dev->server, &agreement);
	if (!error)
		log_info("vhost-user: goes on with the session of a guest that an earlier daemon "
			 "served");
	else if (error == -EINVAL)
		log_limited(LOG_LEVEL_WARN,
			    "vhost-user: the session of a guest that an earlier daemon served "
			    "cannot go on with these options: it must be mounted anew");
}

static int set_inflight_fd(struct vhostuser *dev, struct vhost_msg *msg)
{
	struct vring_inflight *inflight;
	int ret;

	for (unsigned i = 0; i < VHOSTUSER_QUEUES_MAX; i++) {
		if (runs(&dev->lines[i]))
			return wrong(dev, "SET_INFLIGHT_FD: queue %u runs", i);
	}
	ret = inflight_map(msg->fds[0], msg->payload.inflight.offset, msg->payload.inflight.size,
			   msg->payload.inflight.queues, msg->payload.inflight.queue_size,
			   &inflight);
	if (ret == -EINVAL)
		return wrong(dev, "SET_INFLIGHT_FD: %u queues of %u descriptors in 0x%llx bytes",
			     msg->payload.inflight.queues, msg->payload.inflight.queue_size,
			     (unsigned long long)msg->payload.inflight.size);
	if (ret)
		return ret;
	/* Rings that were stopped know the old record: none of them goes on, and no late answer is written to it. */
	for (unsigned i = 0; i < VHOSTUSER_QUEUES_MAX; i++)
		vhostline_drop_ring(&dev->lines[i]);
	/* Who waits for a lock is served again out of the record: the lock must not come to one that nobody hears of. */
	fuse_server_end_waits(dev->server);
	fuse_server_keep(dev->server, NULL, NULL);
	inflight_unmap(dev->inflight);
	dev->inflight = inflight;
	resume_session(dev);
	fuse_server_keep(dev->server, keep_session, dev);
	return 0;
}

/* --- configuration space ------------------------------------------------------------------------------------ */

/* An answer of no bytes says that it failed. */
static int get_config(struct vhostuser *dev, struct vhost_msg *msg)
{
	struct fs_config config = { .num_request_queues = VHOSTUSER_QUEUES_MAX - 1 };
	uint32_t offset = msg->payload.config.offset;
	uint32_t size = msg->payload.config.size;
	uint32_t len = 0;

	memcpy(config.tag, dev->tag, sizeof(config.tag));
	if (dev->tag[0] && size <= VHOST_CONFIG_MAX && offset <= sizeof(config)) {
		uint32_t have = (uint32_t)sizeof(config) - offset;

		memset(msg->payload.config.bytes, 0, sizeof(msg->payload.config.bytes));
		memcpy(msg->payload.config.bytes, (uint8_t *)&config + offset,
		       size < have ? size : have);
		len = 12 + size;
	}
	msg->need_reply = false;
	return vhostmsg_reply(dev->sock, msg, &msg->payload, len, -1);
}

static int set_config(struct vhostuser *dev, struct vhost_msg *msg)
{
	(void)msg;
	return wrong(dev, "SET_CONFIG: nothing of the device can be changed");
}

/* --- the table ------------------------------------------------------------------------------------------------ */

static const struct {
	int (*handle)(struct vhostuser *dev, struct vhost_msg *msg);
	uint64_t needs; /* protocol feature */
} handlers[] = {
	[VHOST_GET_FEATURES] = { get_features, 0 },
	[VHOST_SET_FEATURES] = { set_features, 0 },
	[VHOST_SET_OWNER] = { nothing, 0 },
	[VHOST_RESET_OWNER] = { nothing, 0 }, /* says nothing any more (the specification) */
	[VHOST_SET_MEM_TABLE] = { set_mem_table, 0 },
	[VHOST_SET_VRING_NUM] = { set_vring_num, 0 },
	[VHOST_SET_VRING_ADDR] = { set_vring_addr, 0 },
	[VHOST_SET_VRING_BASE] = { set_vring_base, 0 },
	[VHOST_GET_VRING_BASE] = { get_vring_base, 0 },
	[VHOST_SET_VRING_KICK] = { set_vring_kick, 0 },
	[VHOST_SET_VRING_CALL] = { set_vring_call, 0 },
	[VHOST_SET_VRING_ERR] = { set_vring_err, 0 },
	[VHOST_GET_PROTOCOL_FEATURES] = { get_protocol_features, 0 },
	[VHOST_SET_PROTOCOL_FEATURES] = { set_protocol_features, 0 },
	[VHOST_GET_QUEUE_NUM] = { get_queue_num, PROTOCOL_MQ },
	[VHOST_SET_VRING_ENABLE] = { set_vring_enable, 0 },
	[VHOST_GET_CONFIG] = { get_config, PROTOCOL_CONFIG },
	[VHOST_SET_CONFIG] = { set_config, PROTOCOL_CONFIG },
	[VHOST_GET_INFLIGHT_FD] = { get_inflight_fd, PROTOCOL_INFLIGHT },
	[VHOST_SET_INFLIGHT_FD] = { set_inflight_fd, PROTOCOL_INFLIGHT },
	[VHOST_RESET_DEVICE] = { reset_device, PROTOCOL_RESET_DEVICE },
	[VHOST_GET_MAX_MEM_SLOTS] = { get_max_mem_slots, PROTOCOL_MEM_SLOTS },
	[VHOST_ADD_MEM_REG] = { add_mem_reg, PROTOCOL_MEM_SLOTS },
	[VHOST_REM_MEM_REG] = { rem_mem_reg, PROTOCOL_MEM_SLOTS },
};

int vhostdevice_message(struct vhostuser *dev, struct vhost_msg *msg)
{
	uint64_t needs = handlers[msg->request].needs;
	int ret;

	if ((dev->protocol & needs) != needs)
		return wrong(dev, "%s: its protocol feature was not agreed on",
			     vhostmsg_name(msg->request));
	ret = handlers[msg->request].handle(dev, msg);
	/* A message with an answer of its own has taken need_reply back. */
	if (!ret && msg->need_reply && dev->protocol & PROTOCOL_REPLY_ACK)
		ret = answer_u64(dev, msg, 0);
	return ret;
}
