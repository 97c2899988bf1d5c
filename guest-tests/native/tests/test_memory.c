/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memory.c - memory in every layout, plugged and unplugged, and requests that lie across it in odd pieces.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "rig.h"

#define MIB (1ULL << 20)
#define BIG FEFUSE_IO

static uint8_t bytes[BIG];
static uint8_t back[BIG];

/* Writes `len` bytes through the device and reads them back, from the file itself too. */
static void write_and_read(struct rig *rig, uint64_t offset, uint32_t len, uint32_t seed)
{
	uint64_t nodeid;
	uint64_t fh;
	static uint8_t host[2 * BIG];

	rig_put(rig, "data", "", 0);
	nodeid = rig_lookup(rig, "data");
	rig_pattern(bytes, len, seed);
	CHECK_OK(fecall_open(&rig->f, nodeid, O_RDWR, &fh));
	CHECK_EQ(fecall_write(&rig->f, nodeid, fh, offset, bytes, len), len);
	CHECK_EQ(rig_get(rig, "data", host, sizeof(host)), offset + len);
	CHECK(memcmp(host + offset, bytes, len) == 0);
	memset(back, 0, len);
	CHECK_EQ(fecall_read(&rig->f, nodeid, fh, offset, back, len), len);
	CHECK(memcmp(back, bytes, len) == 0);
	/* At the end of the file, a short one. */
	CHECK_EQ(fecall_read(&rig->f, nodeid, fh, offset + len - 1, back, len), 1);
	CHECK_EQ(back[0], bytes[len - 1]);
	CHECK_EQ(fecall_read(&rig->f, nodeid, fh, offset + len, back, len), 0);
	CHECK_OK(fecall_release(&rig->f, nodeid, fh));
}

/* All slots but the first are put aside; it lies across the boundary at `at`. */
static void slot_across(struct rig *rig, uint64_t in, uint64_t out)
{
	rig->f.slots[0].in = in;
	rig->f.slots[0].out = out;
	rig->f.slot_count = 1;
}

/* --- pieces -------------------------------------------------------------------------------------------------- */

static void test_pieces(struct rig *rig)
{
	/* Length of the data, and of pieces of request and reply. */
	static const uint32_t plans[][3] = {
		{ 300, 1, 0 },	     { 300, 0, 1 },	   { 300, 1, 1 },      { 4096, 41, 17 },
		{ 4097, 79, 4095 },  { 65536, 4097, 333 }, { 262144, 999, 0 }, { 300000, 0, 777 },
		{ BIG, 4099, 4095 }, { BIG, 0, 0 },
	};
	const struct fedevice_options options = { .size = 1024 };

	rig_start(rig, NULL, NULL);
	rig_connect(rig, &options);
	for (unsigned i = 0; i < ARRAY_LEN(plans); i++) {
		rig->f.piece_in = plans[i][1];
		rig->f.piece_out = plans[i][2];
		write_and_read(rig, i % 2 ? 0 : 4097, plans[i][0], i + 1);
	}
	/* Other requests and replies in pieces of one byte. */
	rig->f.piece_in = 1;
	rig->f.piece_out = 1;
	CHECK_OK(fecall_mkdir(&rig->f, ROOT, "some-directory", 0755, NULL));
	CHECK_OK(fecall_rmdir(&rig->f, ROOT, "some-directory"));
	CHECK_EQ(fecall_lookup(&rig->f, ROOT, "some-directory", NULL), -ENOENT);
	CHECK_OK(fecall_statfs(&rig->f, ROOT, NULL));
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

/* --- layouts --------------------------------------------------------------------------------------------------- */

/* `count` regions of `size` bytes that follow each other for the guest, in files as `files` says. */
static void lay_out(struct rig *rig, unsigned count, uint64_t size, bool one_file)
{
	const uint64_t base = FEDEVICE_BASE + 512 * MIB;
	int fd = memfd_create("parts", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, (off_t)(count * size)));
	/* The last part of the guest's memory is the first of the file. */
	for (unsigned i = 0; i < count; i++)
		CHECK_OK(one_file ? femem_add_file(&rig->dev.mem, base + i * size, size, fd,
						   (count - 1 - i) * size)
				  : femem_add(&rig->dev.mem, base + i * size, size));
	(void)fd_close(fd);
}

static void test_layouts(struct rig *rig)
{
	static const struct {
		unsigned parts;
		uint64_t size;
		bool one_file, no_slots;
	} layouts[] = {
		{ 2, 4 * MIB, false, true }, { 7, 2 * MIB, true, true },
		{ 7, MIB, false, false },    { 7, MIB, true, false },
		{ 40, 65536, false, false }, { 200, 16384, true, false },
	};

	rig_start(rig, "--persist", NULL);
	for (unsigned i = 0; i < ARRAY_LEN(layouts); i++) {
		const struct fedevice_options options = { .size = 1024,
							  .no_mem_slots = layouts[i].no_slots,
							  .request_queues = 1 };
		const uint64_t base = FEDEVICE_BASE + 512 * MIB;
		const uint64_t all = layouts[i].parts * layouts[i].size;
		const uint32_t len = (uint32_t)(all / 4 < 900000 ? all / 4 : 900000);

		fedevice_init(&rig->dev, &options);
		CHECK_OK(femem_add(&rig->dev.mem, FEDEVICE_BASE, 64 * MIB));
		lay_out(rig, layouts[i].parts, layouts[i].size, layouts[i].one_file);
		rig_connect_memory(rig, FEDEVICE_BASE);
		slot_across(rig, base + layouts[i].size - 100, base + all / 2 - 7);
		write_and_read(rig, 0, len, i + 100);
		rig->f.piece_in = 4097;
		rig->f.piece_out = 4095;
		write_and_read(rig, 3, len, i + 200);
		rig_disconnect(rig);
	}
	rig_stop(rig);
}

/* --- hot-plug ---------------------------------------------------------------------------------------------------- */

static const char name[] = "data";

/* Requests of 16 at a time on queue 2, which go on whatever happens to the memory. */
struct traffic {
	int slots[16];
	unsigned answered;
};

static void traffic_turn(struct rig *rig, struct traffic *t, bool last)
{
	const struct fefuse_request lookup = { .opcode = FUSE_LOOKUP,
					       .nodeid = ROOT,
					       .in = { { (void *)(uintptr_t)name, sizeof(name) } },
					       .parts = 1,
					       .room = sizeof(struct fuse_entry_out) };

	for (unsigned i = 0; i < ARRAY_LEN(t->slots); i++) {
		if (t->slots[i] >= 0) {
			CHECK_OK(fefuse_receive(&rig->f, t->slots[i], FEFUSE_TIMEOUT_MS));
			t->answered++;
		}
		t->slots[i] = last ? -1 : fefuse_send(&rig->f, 2, &lookup);
		CHECK(last || t->slots[i] >= 0);
	}
}

static void test_hotplug(struct rig *rig)
{
	const struct fedevice_options options = { .request_queues = 2, .size = 256 };
	const uint64_t more = FEDEVICE_BASE + 1024 * MIB;
	struct traffic traffic;

	memset(traffic.slots, -1, sizeof(traffic.slots));
	traffic.answered = 0;
	rig_put(rig, name, "", 0);
	rig_start(rig, NULL, NULL);
	rig_connect(rig, &options);
	for (unsigned i = 0; i < 60; i++) {
		const uint64_t at = more + i * 16 * MIB;
		const struct fefuse_slot usual = rig->f.slots[RIG_SLOTS - 1];

		traffic_turn(rig, &traffic, false);
		CHECK_OK(femem_add(&rig->dev.mem, at, 4 * MIB));
		/* By a slot of its own, or with all of the table anew. */
		CHECK_OK(i % 2 ? fedevice_share_memory(&rig->dev) : fedevice_plug(&rig->dev, at));
		/* The only slots that the traffic leaves are in the new memory. */
		for (unsigned k = ARRAY_LEN(traffic.slots); k < RIG_SLOTS; k++)
			rig->f.slots[k] = (struct fefuse_slot){ .in = at, .out = at + 2 * MIB };
		write_and_read(rig, 0, 100000, i);
		traffic_turn(rig, &traffic, false);
		for (unsigned k = ARRAY_LEN(traffic.slots); k < RIG_SLOTS; k++)
			rig->f.slots[k] = usual;
		CHECK_OK(fedevice_unplug(&rig->dev, at));
	}
	traffic_turn(rig, &traffic, true);
	CHECK_EQ(traffic.answered, 60 * 2 * ARRAY_LEN(traffic.slots));
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

static const struct rig_test tests[] = {
	{ "pieces", test_pieces },
	{ "layouts", test_layouts },
	{ "hotplug", test_hotplug },
};

int main(int argc, char **argv)
{
	return rig_main(argc, argv, tests, ARRAY_LEN(tests));
}
