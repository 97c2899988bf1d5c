/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_rings.c - rings and messages of the whole back-end: how many, with which features, started and stopped.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_fs.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "base/util.h"
#include "rig.h"

#define QUIET_MS 50 /* in which what must not be answered is not */
#define DEPTH 16

static void make_file(const struct rig *rig)
{
	rig_put(rig, "file", "content\n", 8);
}

static struct fefuse_request lookup_of(const char *name)
{
	return (struct fefuse_request){ .opcode = FUSE_LOOKUP,
					.nodeid = ROOT,
					.in = { { (void *)(uintptr_t)name, strlen(name) + 1 } },
					.parts = 1,
					.room = sizeof(struct fuse_entry_out) };
}

/* Many at once on a queue, and all are answered. */
static void many_at_once(struct rig *rig, unsigned queue)
{
	const struct fefuse_request lookup = lookup_of("file");
	int slots[DEPTH];

	for (unsigned i = 0; i < DEPTH; i++) {
		slots[i] = fefuse_send(&rig->f, queue, &lookup);
		CHECK(slots[i] >= 0);
	}
	for (unsigned i = 0; i < DEPTH; i++)
		CHECK_OK(fefuse_receive(&rig->f, slots[i], FEFUSE_TIMEOUT_MS));
}

/* --- how many, and which features -------------------------------------------------------------------------------- */

static void test_queues(struct rig *rig)
{
	static const unsigned counts[] = { 1, 2, 4, 64 };
	uint64_t max;

	make_file(rig);
	rig_start(rig, "--persist", NULL);
	for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
		const struct fedevice_options options = { .request_queues = counts[i], .size = 64 };
		const struct fefuse_request lookup = lookup_of("file");
		int slots[4];

		rig_connect(rig, &options);
		CHECK_OK(frontend_ask_u64(&rig->dev.fe, VHOST_GET_QUEUE_NUM, &max));
		CHECK(max >= counts[i] + 1);
		for (unsigned q = 1; q <= counts[i]; q++)
			many_at_once(rig, q);
		/* In flight on several queues at the same time. */
		for (unsigned k = 0; k < 4; k++)
			slots[k] = fefuse_send(&rig->f, 1 + k % counts[i], &lookup);
		for (unsigned k = 4; k > 0; k--)
			CHECK_OK(fefuse_receive(&rig->f, slots[k - 1], FEFUSE_TIMEOUT_MS));
		CHECK_OK(fecall_forget(&rig->f, rig_lookup(rig, "file"), 1));
		rig_disconnect(rig);
	}
	rig_stop(rig);
}

/* No call comes that was not asked for. */
static void no_needless_calls(struct rig *rig)
{
	struct fering *ring = &rig->dev.rings[1];
	eventfd_t value;

	rig->f.spin_us = 10000000;
	(void)rig_lookup(rig, "file");
	(void)poll(NULL, 0, 20);
	(void)eventfd_read(ring->call, &value);
	for (unsigned i = 0; i < 20; i++)
		many_at_once(rig, 1);
	(void)poll(NULL, 0, 20);
	CHECK_EQ(eventfd_read(ring->call, &value), -1);
	CHECK_EQ(errno, EAGAIN);
}

static void test_features(struct rig *rig)
{
	make_file(rig);
	rig_start(rig, "--persist", NULL);
	for (unsigned i = 0; i < 4; i++) {
		const struct fedevice_options options = { .size = 32,
							  .no_event_idx = i & 1,
							  .no_indirect = i & 2 };
		struct fering *ring = &rig->dev.rings[1];

		/* Without indirect tables 32 descriptors hold 8 such requests. */
		rig_connect(rig, &options);
		CHECK_EQ(ring->event_idx, !(i & 1));
		CHECK_EQ(ring->indirect, !(i & 2));
		rig->f.spin_us = 0;
		for (unsigned k = 0; k < 1000; k++)
			(void)rig_lookup(rig, "file");
		/* Woken by calls, not by our timeout. */
		CHECK(ring->sleeps > 0);
		CHECK(ring->kicks > 0);
		if (!(i & 2))
			no_needless_calls(rig);
		rig_disconnect(rig);
	}
	rig_stop(rig);
}

/* An answer where it is due, and nowhere else. */
static void test_acks(struct rig *rig)
{
	struct frontend_answer answer;

	make_file(rig);
	rig_start(rig, "--persist", NULL);
	for (unsigned with = 0; with < 2; with++) {
		const struct fedevice_options options = { .no_reply_ack = !with };
		struct frontend *fe = &rig->dev.fe;

		rig_connect(rig, &options);
		(void)rig_lookup(rig, "file");
		CHECK_OK(frontend_send(fe, VHOST_SET_OWNER, NULL, 0, NULL, 0, false));
		CHECK_OK(frontend_send(fe, VHOST_SET_OWNER, NULL, 0, NULL, 0, true));
		/* One with an answer of its own has that alone. */
		CHECK_OK(frontend_send(fe, VHOST_GET_FEATURES, NULL, 0, NULL, 0, true));
		CHECK_OK(frontend_send(fe, VHOST_GET_QUEUE_NUM, NULL, 0, NULL, 0, false));
		if (with) {
			CHECK_OK(frontend_receive(fe, &answer, FE_TIMEOUT_MS));
			CHECK_EQ(answer.header.request, VHOST_SET_OWNER);
			CHECK_EQ(answer.payload.u64, 0);
		}
		CHECK_OK(frontend_receive(fe, &answer, FE_TIMEOUT_MS));
		CHECK_EQ(answer.header.request, VHOST_GET_FEATURES);
		CHECK_EQ(answer.payload.u64, fe->offered);
		CHECK_OK(frontend_receive(fe, &answer, FE_TIMEOUT_MS));
		CHECK_EQ(answer.header.request, VHOST_GET_QUEUE_NUM);
		CHECK_EQ(frontend_receive(fe, &answer, QUIET_MS), -ETIMEDOUT);
		rig_disconnect(rig);
	}
	rig_stop(rig);
}

/* --- stopped and started --------------------------------------------------------------------------------------- */

/* A request that must not be answered yet. */
static int send_unanswered(struct rig *rig)
{
	const struct fefuse_request lookup = lookup_of("file");
	int slot = fefuse_send(&rig->f, 1, &lookup);

	CHECK(slot >= 0);
	/* Even if it is told of it. */
	(void)fering_kick(&rig->dev.rings[1], true);
	CHECK_EQ(fefuse_receive(&rig->f, slot, QUIET_MS), -ETIMEDOUT);
	return slot;
}

enum step { NUM, BASE, ADDR, KICK, CALL, ENABLE, STEPS };

static void do_step(struct rig *rig, enum step step, uint16_t base)
{
	switch (step) {
	case NUM:
		CHECK_OK(fedevice_ring_num(&rig->dev, 1));
		break;
	case BASE:
		CHECK_OK(fedevice_ring_base(&rig->dev, 1, base));
		break;
	case ADDR:
		CHECK_OK(fedevice_ring_addr(&rig->dev, 1));
		break;
	case KICK:
		CHECK_OK(fedevice_ring_kick(&rig->dev, 1));
		break;
	case CALL:
		CHECK_OK(fedevice_ring_call(&rig->dev, 1));
		break;
	case ENABLE:
	case STEPS:
		CHECK_OK(fedevice_ring_enable(&rig->dev, 1, true));
		break;
	}
}

/* The order number `n` of all; false: one in which size or base come to a ring that runs. */
static bool order_of(unsigned n, enum step order[STEPS])
{
	enum step left[STEPS] = { NUM, BASE, ADDR, KICK, CALL, ENABLE };
	unsigned at[STEPS];

	for (unsigned i = 0; i < STEPS; i++) {
		const unsigned k = n % (STEPS - i);

		n /= STEPS - i;
		order[i] = left[k];
		at[order[i]] = i;
		memmove(&left[k], &left[k + 1], (STEPS - i - k - 1) * sizeof(left[0]));
	}
	return (at[NUM] < at[KICK] || at[NUM] < at[ENABLE]) &&
	       (at[BASE] < at[KICK] || at[BASE] < at[ENABLE]);
}

static void every_order(struct rig *rig)
{
	enum step order[STEPS];
	unsigned legal = 0;

	for (unsigned n = 0; n < 720; n++) {
		const struct fefuse_request lookup = lookup_of("file");
		uint16_t base = 0;
		int slot;

		if (!order_of(n, order))
			continue;
		legal++;
		CHECK_OK(fedevice_ring_enable(&rig->dev, 1, false));
		CHECK_OK(fedevice_ring_stop(&rig->dev, 1, &base));
		CHECK_EQ(base, rig->dev.rings[1].next_avail);
		slot = fefuse_send(&rig->f, 1, &lookup);
		for (unsigned i = 0; i < STEPS; i++)
			do_step(rig, order[i], base);
		CHECK_OK(fefuse_receive(&rig->f, slot, FEFUSE_TIMEOUT_MS));
	}
	CHECK(legal > 300);
}

static void test_orders(struct rig *rig)
{
	const struct fedevice_options options = { .request_queues = 2 };
	uint16_t base;
	int slot;

	make_file(rig);
	rig_start(rig, NULL, NULL);
	rig_connect(rig, &options);
	many_at_once(rig, 1);
	/* Disabled, the other goes on; enabled again. */
	CHECK_OK(fedevice_ring_enable(&rig->dev, 1, false));
	slot = send_unanswered(rig);
	many_at_once(rig, 2);
	CHECK_OK(fedevice_ring_enable(&rig->dev, 1, true));
	CHECK_OK(fefuse_receive(&rig->f, slot, FEFUSE_TIMEOUT_MS));
	/* Twice in a row is no more than once. */
	CHECK_OK(fedevice_ring_enable(&rig->dev, 1, true));
	CHECK_OK(fedevice_ring_enable(&rig->dev, 1, true));
	many_at_once(rig, 1);
	/* Stopped; what came meanwhile is answered when it is started. */
	CHECK_OK(fedevice_ring_stop(&rig->dev, 1, &base));
	CHECK_EQ(base, rig->dev.rings[1].next_avail);
	slot = send_unanswered(rig);
	many_at_once(rig, 2);
	CHECK_OK(fedevice_ring_kick(&rig->dev, 1));
	CHECK_OK(fefuse_receive(&rig->f, slot, FEFUSE_TIMEOUT_MS));
	/* A kick while it runs replaces the eventfd. */
	CHECK_OK(fedevice_ring_kick(&rig->dev, 1));
	many_at_once(rig, 1);
	every_order(rig);
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

static void test_reset(struct rig *rig)
{
	uint64_t nodeid;
	uint64_t fh;

	make_file(rig);
	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
	for (unsigned i = 0; i < 3; i++) {
		nodeid = rig_lookup(rig, "file");
		CHECK_OK(fecall_open(&rig->f, nodeid, 0, &fh));
		CHECK_OK(frontend_tell(&rig->dev.fe, VHOST_RESET_DEVICE, NULL, 0, NULL, 0));
		(void)send_unanswered(rig);
		fefuse_forget_slots(&rig->f);
		for (unsigned k = 0; k < 2; k++) {
			fering_reset(&rig->dev.rings[k]);
			CHECK_OK(fedevice_ring_start(&rig->dev, k, 0));
		}
		/* There is no session until the next INIT. */
		CHECK_EQ(fecall_getattr(&rig->f, ROOT, NULL), -EIO);
		CHECK_OK(fecall_init(&rig->f, RIG_FLAGS));
		CHECK_EQ(fecall_release(&rig->f, nodeid, fh), -EBADF);
		CHECK_OK(fecall_getattr(&rig->f, nodeid, NULL));
		many_at_once(rig, 1);
	}
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

/* A daemon that has locks, and two request queues, of which the second is ours. */
static void begin_with_locks(struct rig *rig, bool inflight)
{
	const struct fedevice_options options = { .request_queues = 2, .inflight = inflight };

	make_file(rig);
	rig_start(rig, "--posix-lock", NULL);
	rig_connect(rig, &options);
	rig->f.queue = 2;
}

/* A lock that another owner has until it is given back by queue 2: the slot of who waits for it on queue 1. */
static int send_waiting(struct rig *rig, struct fecall_lock *held)
{
	struct fecall_lock waits;
	uint64_t unique;
	int slot;

	*held = (struct fecall_lock){
		.nodeid = rig_lookup(rig, "file"), .owner = 1, .end = 9, .type = F_WRLCK
	};
	CHECK_OK(fecall_open(&rig->f, held->nodeid, O_RDWR, &held->fh));
	CHECK_OK(fecall_setlk(&rig->f, held));
	waits = *held;
	waits.owner = 2;
	slot = fecall_setlkw_send(&rig->f, 1, &waits, &unique);
	CHECK(slot >= 0);
	CHECK_EQ(fefuse_receive(&rig->f, slot, QUIET_MS), -ETIMEDOUT);
	held->type = F_UNLCK;
	return slot;
}

/* What a request that waits comes to while its ring is stopped is told when that goes on, and never to another ring. */
static void test_waiting(struct rig *rig)
{
	struct fecall_lock held;
	uint16_t base;
	int slot;

	begin_with_locks(rig, false);
	for (unsigned anew = 0; anew < 2; anew++) {
		struct fering *ring = &rig->dev.rings[1];

		slot = send_waiting(rig, &held);
		CHECK_OK(fedevice_ring_stop(&rig->dev, 1, &base));
		CHECK_OK(fecall_setlk(&rig->f, &held));
		CHECK_EQ(fefuse_receive(&rig->f, slot, QUIET_MS), -ETIMEDOUT);
		CHECK_EQ(ring->used->idx, ring->next_used);
		if (anew) {
			fefuse_forget_slots(&rig->f);
			fering_reset(ring);
			CHECK_OK(fedevice_ring_start(&rig->dev, 1, 0));
			many_at_once(rig, 1);
			CHECK_EQ(ring->used->idx, DEPTH);
		} else {
			CHECK_OK(fedevice_ring_kick(&rig->dev, 1));
			CHECK_OK(fefuse_receive(&rig->f, slot, FEFUSE_TIMEOUT_MS));
			held.owner = 2;
			CHECK_OK(fecall_setlk(&rig->f, &held));
		}
	}
	/* Disabled; and at the end of the connection nobody is told any more. */
	CHECK_OK(fecall_init(&rig->f, RIG_FLAGS));
	slot = send_waiting(rig, &held);
	CHECK_OK(fedevice_ring_enable(&rig->dev, 1, false));
	CHECK_OK(fecall_setlk(&rig->f, &held));
	CHECK_EQ(fefuse_receive(&rig->f, slot, QUIET_MS), -ETIMEDOUT);
	CHECK_OK(fedevice_ring_enable(&rig->dev, 1, true));
	CHECK_OK(fefuse_receive(&rig->f, slot, FEFUSE_TIMEOUT_MS));
	held.owner = 2;
	CHECK_OK(fecall_setlk(&rig->f, &held));
	(void)send_waiting(rig, &held);
	CHECK_OK(fedevice_ring_enable(&rig->dev, 1, false));
	CHECK_OK(fecall_setlk(&rig->f, &held));
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

/* Threads of the daemon that wait for a lock. */
static unsigned waiters(const struct rig *rig)
{
	char path[64];
	const struct dirent *e;
	unsigned n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)rig->inside);
	d = opendir(path);
	CHECK(d);
	while ((e = readdir(d))) {
		long call = -1;
		char call_path[400];
		FILE *f;

		(void)snprintf(call_path, sizeof(call_path), "%s/%s/syscall", path, e->d_name);
		f = fopen(call_path, "re");
		if (f && fscanf(f, "%ld", &call) == 1 && call == SYS_fcntl)
			n++;
		if (f)
			(void)fclose(f);
	}
	(void)closedir(d);
	return n;
}

/* Somebody waits, soon; and after that nobody more. */
static void one_waits(struct rig *rig, int slot)
{
	const uint64_t end = clock_ns() + FEFUSE_TIMEOUT_MS * 1000000ULL;

	while (waiters(rig) < 1 && clock_ns() < end)
		(void)poll(NULL, 0, 10);
	CHECK_EQ(fefuse_receive(&rig->f, slot, QUIET_MS), -ETIMEDOUT);
	CHECK_EQ(waiters(rig), 1);
}

/* The front-end gives the same record again: who waits is served again, once. */
static void test_again(struct rig *rig)
{
	struct fedevice *dev = &rig->dev;
	struct fecall_lock held;
	uint16_t base;
	int slot;

	begin_with_locks(rig, true);
	slot = send_waiting(rig, &held);
	one_waits(rig, slot);
	for (unsigned i = 0; i < 3; i++)
		CHECK_OK(fedevice_ring_stop(dev, i, &base));
	CHECK_OK(fedevice_share_inflight(dev));
	for (unsigned i = 0; i < 3; i++)
		CHECK_OK(fedevice_ring_start(dev, i, fering_base(&dev->rings[i])));
	one_waits(rig, slot);
	CHECK_OK(fecall_setlk(&rig->f, &held));
	CHECK_OK(fefuse_receive(&rig->f, slot, FEFUSE_TIMEOUT_MS));
	held.owner = 2;
	CHECK_OK(fecall_setlk(&rig->f, &held));
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

static void test_config(struct rig *rig)
{
	union vhost_payload ask = { .config = { .offset = 0,
						.size = sizeof(struct virtio_fs_config) } };
	struct virtio_fs_config config;
	struct frontend_answer answer;

	make_file(rig);
	rig_start(rig, "--tag=some-tag", NULL);
	rig_connect(rig, NULL);
	CHECK(rig->dev.fe.protocol & FE_P_CONFIG);
	CHECK_OK(frontend_ask(&rig->dev.fe, VHOST_GET_CONFIG, &ask, 12 + sizeof(config), &answer));
	CHECK_EQ(answer.header.size, 12 + sizeof(config));
	memcpy(&config, answer.payload.config.bytes, sizeof(config));
	CHECK(memcmp(config.tag, "some-tag\0\0\0", 11) == 0);
	CHECK(config.num_request_queues >= 1);
	/* A part of it. */
	ask.config.offset = 5;
	ask.config.size = 3;
	CHECK_OK(frontend_ask(&rig->dev.fe, VHOST_GET_CONFIG, &ask, 12 + 3, &answer));
	CHECK_EQ(answer.header.size, 12 + 3);
	CHECK(memcmp(answer.payload.config.bytes, "tag", 3) == 0);
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
	/* Without a tag QEMU has its own. */
	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
	CHECK(!(rig->dev.fe.protocol_offered & FE_P_CONFIG));
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

static const struct rig_test tests[] = {
	{ "queues", test_queues },   { "features", test_features }, { "acks", test_acks },
	{ "orders", test_orders },   { "reset", test_reset },	    { "config", test_config },
	{ "waiting", test_waiting }, { "again", test_again },
};

int main(int argc, char **argv)
{
	return rig_main(argc, argv, tests, ARRAY_LEN(tests));
}
