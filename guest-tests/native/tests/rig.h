/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig.h - a daemon, a device on it and a FUSE session: what each test of the native front-end has.
 *
 * A test program is called with: the daemon, the share, the state directory, a path for the socket, the name of the test. A
 * check that fails says where and ends the program.
 */
#ifndef HOLDFAST_NATIVE_RIG_H
#define HOLDFAST_NATIVE_RIG_H

#include <sys/types.h>

#include "fecalls.h"

#define ROOT FUSE_ROOT_ID
#define RIG_SLOTS 20

struct rig {
	const char *daemon, *share, *state, *socket;
	pid_t pid;    /* of the daemon; 0: none */
	pid_t inside; /* of what serves: its child in a sandbox of namespaces, or itself */
	struct fedevice dev;
	struct fefuse f;
};

struct rig_test {
	const char *name;
	void (*run)(struct rig *rig);
};

/* For main(): runs the test that is named; the exit code. */
int rig_main(int argc, char **argv, const struct rig_test *tests, size_t count);

__attribute__((noreturn, format(printf, 3, 4))) void rig_fail(const char *file, int line,
							      const char *fmt, ...);
#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			rig_fail(__FILE__, __LINE__, "%s", #cond);                                 \
	} while (0)
#define CHECK_EQ(call, want)                                                                       \
	do {                                                                                       \
		const long long got_ = (long long)(call);                                          \
		const long long want_ = (long long)(want);                                         \
		if (got_ != want_)                                                                 \
			rig_fail(__FILE__, __LINE__, "%s: %lld instead of %lld", #call, got_,      \
				 want_);                                                           \
	} while (0)
#define CHECK_OK(call) CHECK_EQ(call, 0)

/* Starts the daemon with up to two options more (NULL: none), and waits until it listens. */
void rig_start(struct rig *rig, const char *option, const char *option2);
/* kill -9 for all of it. */
void rig_kill(struct rig *rig);
/* By SIGTERM: it must end with 0. */
void rig_stop(struct rig *rig);
/* Waits for its end: the exit code. */
int rig_wait(struct rig *rig);

/* A device with these options on a running daemon, a session with all flags. */
void rig_connect(struct rig *rig, const struct fedevice_options *options);
/* The same in memory that the caller has laid out: fedevice_init() and femem_add() were called. */
void rig_connect_memory(struct rig *rig, uint64_t slots_region);
void rig_disconnect(struct rig *rig);

/* All that a kernel of today offers. */
#define RIG_FLAGS (FECALL_FLAGS_ALL & ~(uint64_t)FUSE_MAP_ALIGNMENT)

/* A file of the share itself, by its path below it. */
void rig_put(const struct rig *rig, const char *path, const void *bytes, size_t len);
/* Directories dN and in them, in turn, files fM, of which each one's content is its path. */
void rig_tree(const struct rig *rig, unsigned dirs, unsigned files);
size_t rig_get(const struct rig *rig, const char *path, void *bytes, size_t max);
/* The nodeid of a name in the root. */
uint64_t rig_lookup(struct rig *rig, const char *name);
/* Bytes that repeat late. */
void rig_pattern(uint8_t *bytes, size_t len, uint32_t seed);

#endif
