/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hostile.h - cases of a guest and a front-end that do what they must not, and the runner that has them tried on a device.
 *
 * A case is a sentence, what must become of the connection, and a function that does the deed and judges the answers. The
 * runner sees to the rest (run.c): that the connection is served on or is ended with one line in the log, that the next is
 * served, that the process is the same, and that no descriptor is left behind.
 */
#ifndef HOLDFAST_HOSTILE_H
#define HOLDFAST_HOSTILE_H

#include "fecalls.h"

#define KNOWN "known"
#define KNOWN_TEXT "what an innocent guest reads\n"
#define OTHER "other"
#define OTHER_TEXT "what is in the other file\n"
#define SECRET_TEXT "outside of the share\n"

/* A second region of memory, that no ring lies in. */
#define EXTRA_BASE 0x200000000ULL
#define EXTRA_SIZE (1ULL << 20)
/* Descriptors from here on are used by no request of the library, which takes one at a time. */
#define RAW_DESC 64

#define CASE_TIMEOUT_MS 15000

/* How far a connection is before the case begins. */
enum stage { RUNNING, CONNECTED, NEGOTIATED, WITH_MEMORY };

/* What must become of the connection. */
enum want { SERVED, ENDED, EITHER };

/* What a case needs of the device; POSIX locks (--posix-lock) are taken to be there. */
enum need { NEED_NOTHING, NEED_OTHER, NEED_REVOKE, NEED_CAPS, NEED_LOCKS };

struct hostile {
	/* Of the command line: */
	const char *socket, *share, *log;
	const char *other;  /* socket of a device of another share */
	const char *revoke; /* command that raises the root generation */
	bool caps;	    /* the device has small caps */
	const char *spawn;  /* command that starts a foreign device, for each case anew */
	int pid;	    /* of the process that serves; 0: not known */

	/* The connection: */
	struct fedevice_options options;
	struct fedevice dev;
	struct fefuse f;
	uint64_t known, other_file, dir; /* nodeids, of RUNNING */

	char said[400]; /* what happened */
};

struct hostile_case {
	const char *name;
	int (*run)(struct hostile *h, const struct hostile_case *c); /* 0: as it must be */
	enum want want;
	enum stage stage;
	enum need need;
	const struct fedevice_options *options; /* NULL: the usual */
	uint64_t arg, arg2;
	const void *data;
	unsigned lines; /* that may be in the log besides */
	bool sets_next; /* what the next connection finds is changed: nothing is compared */
};

struct hostile_area {
	const char *name;
	const struct hostile_case *cases;
	unsigned count;
};

extern const struct hostile_area area_ring, area_chain, area_race, area_message, area_record,
	area_form, area_wire, area_opcode, area_extension, area_size, area_name, area_fh, area_node,
	area_object, area_resource;

/* --- what happened (say.c) ---------------------------------------------------------------------------------- */

/* Sets h->said. */
__attribute__((format(printf, 2, 3))) void say(struct hostile *h, const char *fmt, ...);
/* The same, and -1: it is not as it must be. */
__attribute__((format(printf, 2, 3))) int wrong(struct hostile *h, const char *fmt, ...);
/* "EINVAL", "0", "a bare completion". */
const char *result_name(int result);
/* Is the result (0 or -errno) the wanted one? Says so. */
int expect(struct hostile *h, const char *what, int got, int want);
/* One of two. */
int expect_either(struct hostile *h, const char *what, int got, int want, int or_want);

/* --- connections (session.c) -------------------------------------------------------------------------------- */

/* Brings a connection up to `stage`; with RUNNING the known files are looked up and read. 0, or -1 with h->said. */
int session_open(struct hostile *h, enum stage stage, const struct fedevice_options *options);
void session_close(struct hostile *h);
/* Lookup, open, read and release of the known file. */
int session_innocent(struct hostile *h);
/* INIT with all flags. */
int session_init(struct hostile *h);
bool session_ended(struct hostile *h, int timeout_ms);

/* --- bytes as requests (wire.c) ----------------------------------------------------------------------------- */

#define WIRE_MAX 70000
#define BARE 1 /* came back without a reply */

struct wire {
	struct fuse_in_header head;
	uint8_t args[WIRE_MAX];
	size_t len; /* of args */
};

void wire_begin(struct wire *w, uint32_t opcode, uint64_t nodeid);
void wire_add(struct wire *w, const void *bytes, size_t len);
void wire_string(struct wire *w, const char *text); /* with its NUL */
/* Sends the header, with its length set, and the arguments: 0, -errno, BARE; -ETIMEDOUT, -EBADMSG. */
int wire_send(struct hostile *h, struct wire *w, size_t room);
/* The same with the header as it is, and `len` bytes in all. */
int wire_send_as_is(struct hostile *h, const struct wire *w, size_t len, size_t room);
/* What is behind the header of the last reply. */
extern uint8_t wire_reply[FEFUSE_IO + 4096];
extern size_t wire_reply_len;

/* A request of this opcode that is right by its form, about the known objects. */
void wire_valid(struct hostile *h, struct wire *w, uint32_t opcode);
bool opcode_has_reply(uint32_t opcode);
const char *opcode_name(uint32_t opcode); /* NULL: unknown */

/* --- rings by hand (raw.c) ---------------------------------------------------------------------------------- */

struct raw_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* Memory that nobody else has, in the first region; aborts the run when there is none left. */
uint64_t raw_alloc(struct hostile *h, size_t len);
void *raw_at(struct hostile *h, uint64_t guest, size_t len);
/* Writes descriptor `index` of request queue 1. */
void raw_desc(struct hostile *h, unsigned index, struct raw_desc d);
/* A LOOKUP of the known file at a fresh place: its address, and the length. */
uint64_t raw_lookup(struct hostile *h, uint32_t *len);
/* Makes a head available and kicks. */
void raw_submit(struct hostile *h, uint16_t head);
/* Waits for what was submitted: used length, or -ETIMEDOUT, -EPIPE (hung up). */
int raw_wait(struct hostile *h, int timeout_ms);

/* The host's side of the share. */
int host_path(struct hostile *h, char *out, size_t size, const char *name);
bool host_has(struct hostile *h, const char *name);
int host_write(struct hostile *h, const char *name, const char *text);
int host_entries(struct hostile *h); /* number of entries in the share's root */

#endif
