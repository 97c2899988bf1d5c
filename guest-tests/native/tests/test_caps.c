/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_caps.c - a guest at its caps gets ENFILE or ENOLCK, and goes on with all else; what it gives back can be had again.
 *
 * The case starts the daemon with few descriptors and nodes, and says how many in CAPS_FILES, CAPS_LOCKS, CAPS_NODES.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "rig.h"

#define MOST 4096

static uint64_t nodeids[MOST], fhs[MOST];

static unsigned cap(const char *name)
{
	const char *value = getenv(name);
	unsigned n = value ? (unsigned)strtoul(value, NULL, 10) : 0;

	CHECK(n > 0 && n < MOST / 2);
	return n;
}

static void begin(struct rig *rig)
{
	rig_put(rig, "innocent", "content", 7);
	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
}

static void end(struct rig *rig)
{
	rig_stop(rig);
	rig_disconnect(rig);
}

/* Files, by descriptors of the daemon's own, and the status socket. */
static long descriptors(const struct rig *rig)
{
	char command[96], text[32] = "";
	FILE *p;

	(void)snprintf(command, sizeof(command), "ls /proc/%d/fd | wc -l", (int)rig->inside);
	p = popen(command, "re"); /* NOLINT(cert-env33-c): the test's own command */
	CHECK(p && fgets(text, sizeof(text), p));
	CHECK_OK(pclose(p));
	return strtol(text, NULL, 10);
}

/* All that takes no more of what is used up. */
static void others_are_served(struct rig *rig, uint64_t open_node, uint64_t open_fh)
{
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	char text[16];

	CHECK_OK(fecall_lookup(&rig->f, ROOT, "innocent", &entry));
	CHECK_OK(fecall_lookup(&rig->f, entry.nodeid, ".", &entry));
	CHECK_OK(fecall_getattr(&rig->f, entry.nodeid, &attr));
	CHECK_OK(fecall_mkdir(&rig->f, ROOT, "made", 0755, NULL));
	CHECK_OK(fecall_rename2(&rig->f, ROOT, "made", ROOT, "moved", 0));
	CHECK_OK(fecall_rmdir(&rig->f, ROOT, "moved"));
	if (open_fh)
		CHECK_EQ(fecall_read(&rig->f, open_node, open_fh, 0, text, sizeof(text)), 7);
	CHECK_OK(system(getenv("CAPS_STATUS"))); /* NOLINT(cert-env33-c): likewise */
}

static void test_files(struct rig *rig)
{
	const unsigned most = cap("CAPS_FILES");
	uint64_t innocent, fh;
	unsigned n = 0;
	int ret;

	begin(rig);
	innocent = rig_lookup(rig, "innocent");
	while (n < MOST && (ret = fecall_open(&rig->f, innocent, O_RDONLY, &fhs[n])) == 0)
		n++;
	CHECK_EQ(ret, -ENFILE);
	CHECK_EQ(n, most);
	CHECK_EQ(fecall_opendir(&rig->f, ROOT, &fh), -ENFILE);
	CHECK_EQ(fecall_create(&rig->f, ROOT, "one-more", O_RDWR, 0644, NULL, &fh), -ENFILE);
	/* What was refused was not made either. */
	CHECK_EQ(fecall_lookup(&rig->f, ROOT, "one-more", NULL), -ENOENT);
	others_are_served(rig, innocent, fhs[0]);
	CHECK(descriptors(rig) < (long)cap("CAPS_NOFILE"));
	CHECK_OK(fecall_release(&rig->f, innocent, fhs[0]));
	CHECK_OK(fecall_open(&rig->f, innocent, O_RDONLY, &fhs[0]));
	CHECK_EQ(fecall_open(&rig->f, innocent, O_RDONLY, &fh), -ENFILE);
	end(rig);
}

static void test_locks(struct rig *rig)
{
	const unsigned most = cap("CAPS_LOCKS");
	struct fecall_lock lock = { .type = F_WRLCK };
	unsigned n = 0;
	int ret = 0;

	begin(rig);
	lock.nodeid = rig_lookup(rig, "innocent");
	CHECK_OK(fecall_open(&rig->f, lock.nodeid, O_RDWR, &lock.fh));
	/* A byte for each owner. */
	for (; n < MOST && ret == 0; n += ret == 0) {
		lock.owner = n + 1;
		lock.start = lock.end = n;
		ret = fecall_setlk(&rig->f, &lock);
	}
	CHECK_EQ(ret, -ENOLCK);
	CHECK_EQ(n, most);
	others_are_served(rig, lock.nodeid, lock.fh);
	/* One that is known already may lock more; who goes makes room. */
	lock.owner = 1;
	CHECK_OK(fecall_setlk(&rig->f, &lock));
	CHECK_OK(fecall_flush(&rig->f, lock.nodeid, lock.fh, 1));
	lock.owner = MOST;
	CHECK_OK(fecall_setlk(&rig->f, &lock));
	lock.owner = MOST + 1;
	lock.start = lock.end = MOST;
	CHECK_EQ(fecall_setlk(&rig->f, &lock), -ENOLCK);
	end(rig);
}

/* Objects that are looked up and never forgotten: no cap is felt, and each is still there. */
static void test_nodes(struct rig *rig)
{
	const unsigned most = cap("CAPS_NODES"), all = 2 * most;
	struct fuse_entry_out entry;
	char name[32];

	for (unsigned i = 0; i < all; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		rig_put(rig, name, name, strlen(name));
	}
	begin(rig);
	for (unsigned i = 0; i < all; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		CHECK_OK(fecall_lookup(&rig->f, ROOT, name, &entry));
		nodeids[i] = entry.nodeid;
	}
	for (unsigned i = 0; i < all; i++)
		CHECK_OK(fecall_lookup(&rig->f, nodeids[i], ".", &entry));
	others_are_served(rig, 0, 0);
	CHECK(descriptors(rig) < (long)cap("CAPS_NOFILE"));
	end(rig);
}

/*
 * Objects that have lost their names and are not forgotten are held, by descriptors, as long as there are some; then the
 * next has to go without. FORGET gives them back.
 */
static void test_nameless(struct rig *rig)
{
	struct fuse_entry_out entry;
	unsigned n = 0;
	uint64_t fh;

	begin(rig);
	for (; n < MOST; n++) {
		if (fecall_create(&rig->f, ROOT, "nameless", O_RDWR, 0644, &entry, &fh))
			break;
		nodeids[n] = entry.nodeid;
		CHECK_OK(fecall_release(&rig->f, entry.nodeid, fh));
		CHECK_OK(fecall_unlink(&rig->f, ROOT, "nameless"));
	}
	(void)fecall_unlink(&rig->f, ROOT, "nameless");
	others_are_served(rig, 0, 0);
	CHECK(descriptors(rig) < (long)cap("CAPS_NOFILE"));
	for (unsigned i = 0; i < n; i++)
		CHECK_OK(fecall_forget(&rig->f, nodeids[i], 1));
	CHECK_OK(fecall_create(&rig->f, ROOT, "named", O_RDWR, 0644, &entry, &fh));
	end(rig);
}

static const struct rig_test tests[] = {
	{ "files", test_files },
	{ "locks", test_locks },
	{ "nodes", test_nodes },
	{ "nameless", test_nameless },
};

int main(int argc, char **argv)
{
	return rig_main(argc, argv, tests, ARRAY_LEN(tests));
}
