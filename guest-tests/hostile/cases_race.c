/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_race.c - bytes that change while the device works with them: a second thread turns one field to and fro,
 * while requests go on. What was checked must be what is used.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "hostile.h"

/* Of each race; ten times as much in `make test-full`. */
#define NS_OF_RACE 400000000ULL
#define N VRING_DESC_F_NEXT
#define W VRING_DESC_F_WRITE

static uint64_t length_of_race(void)
{
	const char *full = getenv("FULL");

	return full && strcmp(full, "1") == 0 ? 10 * NS_OF_RACE : NS_OF_RACE;
}

/* A place that changes between two values. */
struct turn {
	uint8_t *at;
	size_t size;
	uint8_t a[16], b[16];
	atomic_bool stop;
};

static void *turn_on(void *arg)
{
	struct turn *t = arg;

	while (!atomic_load_explicit(&t->stop, memory_order_relaxed)) {
		for (unsigned i = 0; i < 64; i++) {
			const uint8_t *from = i % 2 ? t->a : t->b;

			for (size_t k = 0; k < t->size; k++)
				((volatile uint8_t *)t->at)[k] = from[k];
		}
	}
	return NULL;
}

/* A request of ours at fixed places: request, arguments, data; reply. */
struct request {
	uint64_t at, reply;
	struct fuse_in_header *in;
	uint8_t *args;
	struct fuse_out_header *out;
	uint8_t *body;
	uint32_t len;
};

static void prepare(struct hostile *h, struct request *r, uint32_t opcode, uint64_t nodeid,
		    const void *args, size_t len)
{
	r->at = raw_alloc(h, 8192);
	r->reply = raw_alloc(h, 8192);
	r->len = (uint32_t)(sizeof(*r->in) + len);
	r->in = raw_at(h, r->at, 8192);
	r->args = (uint8_t *)(r->in + 1);
	r->out = raw_at(h, r->reply, 8192);
	r->body = (uint8_t *)(r->out + 1);
	*r->in = (struct fuse_in_header){
		.len = r->len, .opcode = opcode, .nodeid = nodeid, .unique = h->f.unique += 2
	};
	memcpy(r->args, args, len);
	raw_desc(h, RAW_DESC, (struct raw_desc){ r->at, r->len, N, RAW_DESC + 1 });
	raw_desc(h, RAW_DESC + 1, (struct raw_desc){ r->reply, 8192, W, 0 });
}

/* What a case looks at after each reply: 0 or -1. */
typedef int check_fn(struct hostile *h, const struct request *r, int used);

/* Sends the request again and again while the place turns; EITHER: the connection may end. */
static int race(struct hostile *h, struct request *r, struct turn *t, check_fn *check, bool may_end)
{
	const uint64_t end = clock_ns() + length_of_race();
	pthread_t thread;
	unsigned rounds = 0;
	int ret = 0;
	int used = 0;

	atomic_init(&t->stop, false);
	if (pthread_create(&thread, NULL, turn_on, t))
		return wrong(h, "no thread");
	while (clock_ns() < end && !ret) {
		memset(r->body, 0, 256);
		raw_submit(h, RAW_DESC);
		used = raw_wait(h, CASE_TIMEOUT_MS);
		if (used == -EPIPE && may_end)
			break;
		ret = used < 0 ? wrong(h, "after %u rounds: %s", rounds, result_name(used))
			       : check(h, r, used);
		rounds++;
	}
	atomic_store(&t->stop, true);
	(void)pthread_join(thread, NULL);
	if (!ret)
		say(h, "%u rounds%s", rounds,
		    used == -EPIPE ? ", until the connection was ended" : "");
	return ret;
}

static void set(struct turn *t, void *at, const void *a, const void *b, size_t size)
{
	t->at = at;
	t->size = size;
	memcpy(t->a, a, size);
	memcpy(t->b, b, size);
}

/* --- what must hold ------------------------------------------------------------------------------------------------------ */

static int any_reply(struct hostile *h, const struct request *r, int used)
{
	if (used &&
	    (used < (int)sizeof(*r->out) || r->out->len != (uint32_t)used || r->out->error > 0))
		return wrong(h, "a reply of %d bytes, by its header %u", used, r->out->len);
	return 0;
}

/* A lookup of one of two names in the root: that of the known file or an error, never of what lies outside. */
static uint64_t race_known;

static int known_or_error(struct hostile *h, const struct request *r, int used)
{
	uint64_t nodeid;

	if (any_reply(h, r, used))
		return -1;
	memcpy(&nodeid, r->body, sizeof(nodeid));
	if (used > (int)sizeof(*r->out) && nodeid != race_known && nodeid != FUSE_ROOT_ID)
		return wrong(h, "another node was looked up");
	return 0;
}

/* A read by one of two fhs of one nodeid: the file's own bytes or EBADF. */
static int own_bytes(struct hostile *h, const struct request *r, int used)
{
	if (any_reply(h, r, used))
		return -1;
	if (used > (int)sizeof(*r->out) && memcmp(r->body, KNOWN_TEXT, 8) != 0)
		return wrong(h, "other bytes were read");
	return 0;
}

/* --- cases ---------------------------------------------------------------------------------------------------------------- */

static int name_turns(struct hostile *h, const struct hostile_case *c)
{
	const char *other = c->data;
	char names[2][16] = { "known", "" };
	struct request r;
	struct turn t;

	race_known = h->known;
	(void)snprintf(names[1], sizeof(names[1]), "%s", other);
	prepare(h, &r, FUSE_LOOKUP, FUSE_ROOT_ID, names[0], sizeof(KNOWN));
	set(&t, r.args, names[0], names[1], sizeof(KNOWN));
	return race(h, &r, &t, known_or_error, false);
}

static int header_turns(struct hostile *h, const struct hostile_case *c)
{
	const uint32_t other = (uint32_t)c->arg2;
	struct request r;
	struct turn t;

	race_known = h->known;
	prepare(h, &r, FUSE_LOOKUP, FUSE_ROOT_ID, KNOWN, sizeof(KNOWN));
	set(&t, (uint8_t *)r.in + c->arg, (uint8_t *)r.in + c->arg, &other, sizeof(other));
	return race(h, &r, &t, any_reply, false);
}

/* The opcode turns between READ and WRITE, which are laid out by it. */
static int read_or_write(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_write_in in = { .size = 64 };
	const uint32_t opcodes[2] = { FUSE_READ, FUSE_WRITE };
	uint8_t args[sizeof(in) + 64] = { 0 };
	struct request r;
	struct turn t;

	(void)c;
	if (fecall_open(&h->f, h->known, O_RDONLY, &in.fh))
		return wrong(h, "open failed");
	memcpy(args, &in, sizeof(in));
	prepare(h, &r, FUSE_READ, h->known, args, sizeof(args));
	set(&t, &r.in->opcode, &opcodes[0], &opcodes[1], sizeof(opcodes[0]));
	return race(h, &r, &t, own_bytes, false);
}

/* The size of a READ turns between what fits and what does not; of a WRITE, between what is there and more. */
static int size_turns(struct hostile *h, const struct hostile_case *c)
{
	const bool is_read = c->arg == FUSE_READ;
	struct fuse_write_in in = { .size = is_read ? 64 : 8 };
	const uint32_t more = is_read ? 1U << 20 : 4096;
	uint8_t args[sizeof(in) + 8] = "";
	struct request r;
	struct turn t;

	if (fecall_open(&h->f, is_read ? h->known : h->other_file, O_RDWR, &in.fh))
		return wrong(h, "open failed");
	memcpy(args, &in, sizeof(in));
	/* What is written is what is there. */
	memcpy(args + sizeof(in), OTHER_TEXT, 8);
	prepare(h, &r, (uint32_t)c->arg, is_read ? h->known : h->other_file, args,
		sizeof(in) + (is_read ? 0 : 8));
	set(&t, r.args + offsetof(struct fuse_write_in, size), &in.size, &more, sizeof(more));
	if (race(h, &r, &t, is_read ? own_bytes : any_reply, false))
		return -1;
	return is_read ? 0 : host_write(h, OTHER, OTHER_TEXT);
}

static int fh_turns(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_read_in in = { .size = 64 };
	uint64_t other;
	struct request r;
	struct turn t;

	(void)c;
	if (fecall_open(&h->f, h->known, O_RDONLY, &in.fh) ||
	    fecall_open(&h->f, h->other_file, O_RDONLY, &other))
		return wrong(h, "open failed");
	prepare(h, &r, FUSE_READ, h->known, &in, sizeof(in));
	set(&t, r.args, &in.fh, &other, sizeof(other));
	return race(h, &r, &t, own_bytes, false);
}

static int count_turns(struct hostile *h, const struct hostile_case *c)
{
	struct {
		struct fuse_batch_forget_in head;
		struct fuse_forget_one all[2];
	} in = { { .count = 2 }, { { h->known, 1 }, { h->other_file, 1 } } };
	const uint32_t more = 1U << 28;
	struct request r;
	struct turn t;

	(void)c;
	prepare(h, &r, FUSE_BATCH_FORGET, 0, &in, sizeof(in));
	set(&t, r.args, &in.head.count, &more, sizeof(more));
	return race(h, &r, &t, any_reply, false);
}

/* A field of a descriptor: of the readable one (arg 0), the writable one (1); offset in arg2, the other value in data. */
static int descriptor_turns(struct hostile *h, const struct hostile_case *c)
{
	uint8_t *desc;
	struct request r;
	struct turn t;
	const size_t size = c->arg2 == offsetof(struct vring_desc, addr)  ? 8
			    : c->arg2 == offsetof(struct vring_desc, len) ? 4
									  : 2;

	race_known = h->known;
	prepare(h, &r, FUSE_LOOKUP, FUSE_ROOT_ID, KNOWN, sizeof(KNOWN));
	desc = (uint8_t *)&h->dev.rings[1].desc[RAW_DESC + c->arg] + c->arg2;
	set(&t, desc, desc, c->data, size);
	/* Where lengths and addresses change a reply may land elsewhere: it is not looked at. */
	(void)race(h, &r, &t, any_reply, true);
	h->dev.rings[1].desc[RAW_DESC].flags = N;
	say(h, "it was not taken for more than it is");
	return 0;
}

/* An indirect table that turns while it is copied. */
static int table_turns(struct hostile *h, const struct hostile_case *c)
{
	const uint64_t at = raw_alloc(h, 4096);
	struct vring_desc *table = raw_at(h, at, 4096);
	struct request r;
	struct turn t;

	(void)c;
	prepare(h, &r, FUSE_LOOKUP, FUSE_ROOT_ID, KNOWN, sizeof(KNOWN));
	table[0] = (struct vring_desc){ r.at, r.len, N, 1 };
	table[1] = (struct vring_desc){ r.reply, 8192, W, 0 };
	raw_desc(h, RAW_DESC, (struct raw_desc){ at, 32, VRING_DESC_F_INDIRECT, 0 });
	set(&t, (uint8_t *)&table[0].next, &(uint16_t){ 1 }, &(uint16_t){ 60000 }, 2);
	(void)race(h, &r, &t, any_reply, true);
	say(h, "it was copied before it was read");
	return 0;
}

/* The host turns a name between the known file and a symlink out of the share. */
static int host_turns_name(struct hostile *h, const struct hostile_case *c)
{
	const uint64_t end = clock_ns() + length_of_race();
	char path[3][4096];
	unsigned rounds = 0;

	(void)c;
	(void)host_path(h, path[0], sizeof(path[0]), "turns");
	(void)host_path(h, path[1], sizeof(path[1]), "turns-new");
	for (; clock_ns() < end; rounds++) {
		struct fuse_entry_out entry;
		char text[64] = "";
		uint64_t fh;
		int n;

		(void)unlink(path[1]);
		if (rounds % 2 ? symlink("../secret", path[1])
			       : host_write(h, "turns-new", KNOWN_TEXT))
			return wrong(h, "the host cannot make it");
		if (fecall_lookup(&h->f, FUSE_ROOT_ID, "turns", &entry) == 0) {
			(void)rename(path[1], path[0]);
			if (fecall_open(&h->f, entry.nodeid, O_RDONLY, &fh) == 0) {
				n = fecall_read(&h->f, entry.nodeid, fh, 0, text, sizeof(text));
				(void)fecall_release(&h->f, entry.nodeid, fh);
				if (n > 0 && strncmp(text, SECRET_TEXT, 7) == 0)
					return wrong(h, "what lies outside was read");
			}
		} else {
			(void)rename(path[1], path[0]);
		}
	}
	(void)unlink(path[0]);
	(void)unlink(path[1]);
	say(h, "%u rounds", rounds);
	return 0;
}

#define FIELD(f) offsetof(struct fuse_in_header, f)
#define DESC(text, which, field, value)                                                            \
	{                                                                                          \
		.name = (text), .run = descriptor_turns, .want = EITHER, .arg = (which),           \
		.arg2 = offsetof(struct vring_desc, field), .data = (value)                        \
	}

static const uint64_t nowhere = 0x900000000;
static const uint32_t huge = UINT32_MAX;
static const uint16_t past = 60000;
static const uint16_t loop = RAW_DESC;
static const uint16_t writable = N | W;

static const struct hostile_case cases[] = {
	{ .name = "a name turns into one with a slash, which is there",
	  .run = name_turns,
	  .data = "dir/x" },
	{ .name = "a name turns into dots", .run = name_turns, .data = ".." },
	{ .name = "a name loses its NUL", .run = name_turns, .data = "knownXX" },
	{ .name = "the length in a header turns",
	  .run = header_turns,
	  .arg = FIELD(len),
	  .arg2 = UINT32_MAX },
	{ .name = "the opcode in a header turns to WRITE",
	  .run = header_turns,
	  .arg = FIELD(opcode),
	  .arg2 = FUSE_WRITE },
	{ .name = "the opcode in a header turns to BATCH_FORGET",
	  .run = header_turns,
	  .arg = FIELD(opcode),
	  .arg2 = FUSE_BATCH_FORGET },
	{ .name = "the opcode turns between READ and WRITE", .run = read_or_write },
	{ .name = "the nodeid in a header turns",
	  .run = header_turns,
	  .arg = FIELD(nodeid),
	  .arg2 = 77,
	  .lines = 20 },
	{ .name = "the size of a READ turns", .run = size_turns, .arg = FUSE_READ },
	{ .name = "the size of a WRITE turns", .run = size_turns, .arg = FUSE_WRITE },
	{ .name = "the fh of a READ turns to another file's", .run = fh_turns },
	{ .name = "the count of a BATCH_FORGET turns", .run = count_turns },
	DESC("the address of a readable descriptor turns", 0, addr, &nowhere),
	DESC("the length of a readable descriptor turns", 0, len, &huge),
	DESC("the flags of a readable descriptor turn", 0, flags, &writable),
	DESC("the next of a descriptor turns past the ring", 0, next, &past),
	DESC("the next of a descriptor turns to itself", 0, next, &loop),
	DESC("the address of a writable descriptor turns", 1, addr, &nowhere),
	DESC("the length of a writable descriptor turns", 1, len, &huge),
	{ .name = "an indirect table turns", .run = table_turns, .want = EITHER },
	{ .name = "a name turns into a symlink on the host", .run = host_turns_name },
};

const struct hostile_area area_race = { "race", cases, ARRAY_LEN(cases) };
