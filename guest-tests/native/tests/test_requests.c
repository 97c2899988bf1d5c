/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_requests.c - FUSE over the whole back-end: lengths, INIT, sessions, idleness.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "rig.h"

/* --- lengths ------------------------------------------------------------------------------------------------- */

/* Each call of fecalls.h checks the used length against the reply's header. */
static void every_call(struct rig *rig)
{
	struct fefuse *f = &rig->f;
	struct fuse_setattr_in size = { .valid = FATTR_SIZE, .size = 100 };
	struct fuse_entry_out entry;
	char text[4096];
	uint64_t fh;
	uint64_t nodeid;

	CHECK_OK(fecall_mkdir(f, ROOT, "d", 0755, &entry));
	CHECK_OK(fecall_create(f, entry.nodeid, "a", O_RDWR, 0644, &entry, &fh));
	nodeid = entry.nodeid;
	CHECK_EQ(fecall_write(f, nodeid, fh, 0, "some text", 9), 9);
	CHECK_EQ(fecall_read(f, nodeid, fh, 0, text, sizeof(text)), 9);
	CHECK_OK(fecall_flush(f, nodeid, fh, 1));
	CHECK_OK(fecall_fsync(f, nodeid, fh, true));
	CHECK_OK(fecall_release(f, nodeid, fh));
	CHECK_OK(fecall_setattr(f, nodeid, &size, NULL));
	CHECK_OK(fecall_getattr(f, nodeid, NULL));
	CHECK_OK(fecall_link(f, nodeid, ROOT, "b", NULL));
	CHECK_OK(fecall_symlink(f, ROOT, "s", "some/target", &entry));
	CHECK_OK(fecall_readlink(f, entry.nodeid, text, sizeof(text)));
	CHECK_OK(strcmp(text, "some/target"));
	CHECK_OK(fecall_mknod(f, ROOT, "p", S_IFIFO | 0600, NULL));
	CHECK_OK(fecall_rename2(f, ROOT, "b", ROOT, "c", 0));
	CHECK_OK(fecall_rename2(f, ROOT, "c", ROOT, "p", RENAME_EXCHANGE));
	CHECK_EQ(fecall_rename2(f, ROOT, "c", ROOT, "p", RENAME_NOREPLACE), -EEXIST);
	CHECK_OK(fecall_statfs(f, ROOT, NULL));
	CHECK_OK(fecall_syncfs(f, ROOT));
	CHECK_OK(fecall_opendir(f, ROOT, &fh));
	CHECK(fecall_readdir(f, ROOT, fh, 0, text, sizeof(text)) > 0);
	CHECK(fecall_readdirplus(f, ROOT, fh, 0, text, sizeof(text)) > 0);
	CHECK_OK(fecall_fsyncdir(f, ROOT, fh, false));
	CHECK_OK(fecall_releasedir(f, ROOT, fh));
	CHECK_OK(fecall_unlink(f, ROOT, "c"));
	CHECK_EQ(fecall_rmdir(f, ROOT, "d"), -ENOTEMPTY);
	CHECK_EQ(fecall_lookup(f, ROOT, "not-there", NULL), -ENOENT);
	CHECK_OK(fecall_forget(f, nodeid, 1));
	CHECK_OK(fecall_batch_forget(f, &(struct fuse_forget_one){ .nodeid = nodeid, .nlookup = 1 },
				     1));
	CHECK_OK(fecall_interrupt(f, 4711));
}

/* Any opcode, with no arguments and with many that make no sense: one answer, of its own length. */
static void every_opcode(struct rig *rig)
{
	uint8_t request[sizeof(struct fuse_in_header) + 200];
	struct {
		struct fuse_out_header head;
		uint8_t rest[8192];
	} reply;

	for (uint32_t opcode = 0; opcode < 70; opcode++) {
		for (unsigned with = 0; with < 2; with++) {
			const size_t len = with ? sizeof(request) : sizeof(struct fuse_in_header);
			const struct fuse_in_header h = { .len = (uint32_t)len,
							  .opcode = opcode,
							  .unique = 1000 + opcode,
							  .nodeid = ROOT };
			const bool silent = opcode == FUSE_FORGET || opcode == FUSE_INTERRUPT ||
					    opcode == FUSE_BATCH_FORGET;
			int used;

			if (opcode == FUSE_DESTROY)
				continue;
			memset(request, 'x', sizeof(request));
			memcpy(request, &h, sizeof(h));
			used = fefuse_raw(&rig->f, 1, request, len, &reply, sizeof(reply));
			if (silent) {
				CHECK_EQ(used, 0);
				continue;
			}
			CHECK(used >= (int)sizeof(reply.head));
			CHECK_EQ(reply.head.len, used);
			CHECK_EQ(reply.head.unique, h.unique);
		}
	}
}

static void test_lengths(struct rig *rig)
{
	rig_start(rig, "--xattr", NULL);
	rig_connect(rig, NULL);
	every_call(rig);
	CHECK_OK(fecall_setxattr(&rig->f, ROOT, "user.a", "value", 5, 0));
	CHECK_EQ(fecall_getxattr(&rig->f, ROOT, "user.a", NULL, 0), 5);
	CHECK(fecall_listxattr(&rig->f, ROOT, NULL, 0) >= 7);
	CHECK_OK(fecall_removexattr(&rig->f, ROOT, "user.a"));
	every_opcode(rig);
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

/* --- listings ------------------------------------------------------------------------------------------------- */

#define NAMES 120

struct listed {
	uint64_t cookie; /* behind it */
	char name[64];
};

/* One reply of at most `size` bytes from `from` on: its entries, and how many. */
static unsigned list(struct rig *rig, uint64_t dir, uint64_t fh, uint64_t from, uint32_t size,
		     struct listed *out, unsigned max)
{
	uint8_t text[4096];
	unsigned count = 0;
	int n;

	CHECK(size <= sizeof(text));
	n = fecall_readdir(&rig->f, dir, fh, from, text, size);
	CHECK(n >= 0);
	for (int i = 0; i < n && count < max; count++) {
		struct fuse_dirent d;

		memcpy(&d, text + i, FUSE_NAME_OFFSET);
		CHECK(d.namelen < sizeof(out->name));
		memcpy(out[count].name, text + i + FUSE_NAME_OFFSET, d.namelen);
		out[count].name[d.namelen] = '\0';
		out[count].cookie = d.off;
		i += (int)FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + d.namelen);
	}
	return count;
}

static uint64_t make_names(struct rig *rig)
{
	struct fuse_entry_out entry;
	uint64_t dir;
	uint64_t fh;
	char name[64];

	CHECK_OK(fecall_mkdir(&rig->f, ROOT, "names", 0755, &entry));
	dir = entry.nodeid;
	for (unsigned i = 0; i < NAMES; i++) {
		(void)snprintf(name, sizeof(name), "%u-%.*s", i, (int)(i * 7 % 50),
			       "a name that is longer or shorter than the one before");
		CHECK_OK(fecall_create(&rig->f, dir, name, O_RDWR, 0644, &entry, &fh));
		CHECK_OK(fecall_release(&rig->f, entry.nodeid, fh));
	}
	return dir;
}

/*
 * From any cookie on, in replies of any size, by any of two open directories, comes what comes behind it: whatever was read
 * before, and did not fit.
 */
static void test_listings(struct rig *rig)
{
	static struct listed all[NAMES + 2];
	struct listed some[NAMES + 2];
	unsigned count = 0;
	uint32_t seed = 1;
	uint64_t fh[2];
	uint64_t dir;

	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
	dir = make_names(rig);
	CHECK_OK(fecall_opendir(&rig->f, dir, &fh[0]));
	CHECK_OK(fecall_opendir(&rig->f, dir, &fh[1]));
	for (unsigned n = 1; n; count += n)
		n = list(rig, dir, fh[0], count ? all[count - 1].cookie : 0, 4096, all + count,
			 NAMES + 2 - count);
	CHECK_EQ(count, NAMES + 2);
	for (unsigned round = 0, at = 0; round < 3000; round++) {
		uint32_t size;
		unsigned n;

		seed = seed * 1664525U + 1013904223U;
		size = 100 + (seed >> 8) % 1500;
		/* Mostly on, as a program lists; now and then elsewhere. */
		if (seed >> 28 == 0 || at == count)
			at = (seed >> 16) % count;
		n = list(rig, dir, fh[seed >> 27 & 1], at ? all[at - 1].cookie : 0, size, some,
			 NAMES + 2);
		CHECK(n > 0 && at + n <= count);
		for (unsigned i = 0; i < n; i++) {
			CHECK_OK(strcmp(some[i].name, all[at + i].name));
			CHECK_EQ(some[i].cookie, all[at + i].cookie);
		}
		at += n;
	}
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

/* --- INIT ----------------------------------------------------------------------------------------------------- */

#define ALWAYS                                                                                     \
	(FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES |           \
	 FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_SETXATTR_EXT | FUSE_INIT_EXT |               \
	 FUSE_CREATE_SUPP_GROUP)
#define PLUS (FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO)
/* Those that depend on an option. */
#define BY_OPTION                                                                                  \
	(PLUS | FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SUBMOUNTS |       \
	 FUSE_SECURITY_CTX | FUSE_WRITEBACK_CACHE | FUSE_FLOCK_LOCKS | FUSE_POSIX_LOCKS |          \
	 FUSE_AUTO_INVAL_DATA | FUSE_CACHE_SYMLINKS)

static void test_init(struct rig *rig)
{
	static const struct {
		const char *option, *option2;
		uint64_t on, off; /* of BY_OPTION */
	} answers[] = {
		{ "--cache=auto", NULL, PLUS | FUSE_AUTO_INVAL_DATA,
		  FUSE_CACHE_SYMLINKS | FUSE_WRITEBACK_CACHE },
		{ "--cache=always", NULL, PLUS | FUSE_CACHE_SYMLINKS, FUSE_AUTO_INVAL_DATA },
		{ "--cache=never", NULL, FUSE_AUTO_INVAL_DATA, PLUS },
		{ "--cache=always", "--writeback", FUSE_WRITEBACK_CACHE, 0 },
		{ "--posix-acl", "--xattr", FUSE_POSIX_ACL | FUSE_DONT_MASK, FUSE_SECURITY_CTX },
		{ "--security-label", NULL, FUSE_SECURITY_CTX, FUSE_POSIX_ACL },
		{ "--killpriv-v2", NULL, FUSE_HANDLE_KILLPRIV_V2, 0 },
		{ "--announce-submounts", NULL, FUSE_SUBMOUNTS, 0 },
		{ "--flock", "--posix-lock", FUSE_FLOCK_LOCKS | FUSE_POSIX_LOCKS, 0 },
		{ "--no-flock", "--no-posix-lock", 0, FUSE_FLOCK_LOCKS | FUSE_POSIX_LOCKS },
	};

	for (unsigned i = 0; i < ARRAY_LEN(answers); i++) {
		uint64_t flags;

		rig_start(rig, answers[i].option, answers[i].option2);
		rig_connect(rig, NULL);
		flags = fecall_init_flags(&rig->f);
		if ((flags & ALWAYS) != ALWAYS || (flags & answers[i].on) != answers[i].on ||
		    flags & answers[i].off)
			rig_fail(__FILE__, __LINE__, "%s %s: flags 0x%llx", answers[i].option,
				 answers[i].option2 ? answers[i].option2 : "",
				 (unsigned long long)flags);
		CHECK_EQ(rig->f.init.max_pages, 256);
		CHECK_EQ(rig->f.init.max_write, 1 << 20);
		CHECK_EQ(rig->f.init.major, FUSE_KERNEL_VERSION);
		/* Nothing is agreed on that was not offered. */
		CHECK_OK(fecall_init(&rig->f, FUSE_INIT_EXT | ALWAYS | answers[i].on));
		CHECK_OK(fecall_init_flags(&rig->f) & BY_OPTION & ~answers[i].on);
		rig_disconnect(rig);
		CHECK_EQ(rig_wait(rig), 0);
	}
}

static void test_sessions(struct rig *rig)
{
	uint64_t nodeid;
	uint64_t fh;
	char byte;

	rig_put(rig, "file", "content\n", 8);
	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
	for (unsigned i = 0; i < 4; i++) {
		nodeid = rig_lookup(rig, "file");
		CHECK_OK(fecall_open(&rig->f, nodeid, O_RDONLY, &fh));
		if (i % 2)
			CHECK_OK(fecall_destroy(&rig->f));
		CHECK_OK(fecall_init(&rig->f, RIG_FLAGS));
		CHECK_EQ(fecall_read(&rig->f, nodeid, fh, 0, &byte, 1), -EBADF);
		CHECK_EQ(fecall_release(&rig->f, nodeid, fh), -EBADF);
		/* What it names is what it was. */
		CHECK_OK(fecall_open(&rig->f, nodeid, O_RDONLY, &fh));
		CHECK_EQ(fecall_read(&rig->f, nodeid, fh, 0, &byte, 1), 1);
		CHECK_OK(fecall_release(&rig->f, nodeid, fh));
	}
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

static void test_persist(struct rig *rig)
{
	uint64_t nodeid = 0;
	uint64_t fh = 0;

	rig_put(rig, "file", "content\n", 8);
	rig_start(rig, "--persist", NULL);
	for (unsigned i = 0; i < 5; i++) {
		rig_connect(rig, NULL);
		if (i) {
			CHECK_EQ(fecall_release(&rig->f, nodeid, fh), -EBADF);
			CHECK_OK(fecall_getattr(&rig->f, nodeid, NULL));
			CHECK_EQ(rig_lookup(rig, "file"), nodeid);
		}
		nodeid = rig_lookup(rig, "file");
		CHECK_OK(fecall_open(&rig->f, nodeid, O_RDONLY, &fh));
		rig_disconnect(rig);
	}
	rig_stop(rig);
}

/* --- idle -------------------------------------------------------------------------------------------------------- */

/* CPU time of a process, in milliseconds. */
static unsigned long cpu_ms(pid_t pid)
{
	char path[64];
	char text[1024];
	unsigned long user = 0;
	unsigned long kernel = 0;
	const char *at;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	CHECK(file);
	CHECK(fgets(text, sizeof(text), file));
	(void)fclose(file);
	at = strrchr(text, ')');
	/* utime and stime are the 14th and 15th field, the name with its brackets the second. */
	for (unsigned i = 2; i < 14 && at; i++)
		at = strchr(at + 1, ' ');
	CHECK(at);
	user = strtoul(at + 1, (char **)(uintptr_t)&at, 10);
	kernel = strtoul(at, NULL, 10);
	return (user + kernel) * 1000UL / (unsigned long)sysconf(_SC_CLK_TCK);
}

/* How often the threads of a process have gone to sleep. */
static unsigned long sleeps(pid_t pid)
{
	const char key[] = "voluntary_ctxt_switches:";
	char path[300];
	char line[256];
	unsigned long sum = 0;
	const struct dirent *d;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	CHECK(dir);
	while ((d = readdir(dir))) {
		FILE *file;

		(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, d->d_name);
		file = d->d_name[0] == '.' ? NULL : fopen(path, "re");
		while (file && fgets(line, sizeof(line), file))
			if (strncmp(line, key, strlen(key)) == 0)
				sum += strtoul(line + strlen(key), NULL, 10);
		if (file)
			(void)fclose(file);
	}
	(void)closedir(dir);
	return sum;
}

static void look(struct rig *rig, unsigned queue)
{
	rig->f.queue = queue;
	for (unsigned i = 0; i < 100; i++)
		CHECK_OK(fecall_getattr(&rig->f, ROOT, NULL));
}

/* However long a queue may look at its ring before it sleeps: soon it does no more, where nothing comes. */
static void stay_idle(struct rig *rig, const char *option)
{
	const struct fedevice_options options = { .request_queues = 4 };
	unsigned long before;
	unsigned long slept;

	rig_start(rig, option, NULL);
	rig_connect(rig, &options);
	for (unsigned q = 1; q <= 4; q++)
		look(rig, q);
	(void)poll(NULL, 0, 100);
	before = cpu_ms(rig->inside);
	slept = sleeps(rig->inside);
	(void)poll(NULL, 0, 2000);
	CHECK(cpu_ms(rig->inside) - before < 50);
	/* The drainer looks around once a second. */
	CHECK(sleeps(rig->inside) - slept < 20);
	/* And it is there when something comes. */
	look(rig, 1);
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

static void test_idle(struct rig *rig)
{
	stay_idle(rig, NULL);
	stay_idle(rig, "--poll-us=1000");
}

static const struct rig_test tests[] = {
	{ "lengths", test_lengths }, { "init", test_init }, { "sessions", test_sessions },
	{ "persist", test_persist }, { "idle", test_idle }, { "listings", test_listings },
};

int main(int argc, char **argv)
{
	return rig_main(argc, argv, tests, ARRAY_LEN(tests));
}
