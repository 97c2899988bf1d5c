/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_modes.c - what each way to run a device guarantees: handles over restarts and over renames by the host, and who
 * owns what the guest makes. One row of the table in README.md is one daemon (the case gives a command that starts it),
 * one column one test. What differs between the rows comes in the environment:
 *
 *   MODE_STATUS     the command that shows the daemon's status as JSON
 *   MODE_BY_HANDLE  1: a directory that was moved while no daemon ran is found by its handle; 0: by a scan
 *   MODE_OWNER, MODE_CHOWN, MODE_DEVICE  what making a file as user 1000 gives, giving it to user 2000, making a device node:
 *                   the owner on the host (0 for the node), or -errno
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "rig.h"

#define GUEST_USER 1000
#define OTHER_USER 2000
#define STALE_MS 1200 /* longer than anything is believed without a look */
#define SCAN_TRIES 200

struct known {
	uint64_t nodeid, generation;
};

static struct known dir, file;

static long expected(const char *name)
{
	const char *value = getenv(name);

	CHECK(value && value[0]);
	return strtol(value, NULL, 10);
}

static void begin(struct rig *rig)
{
	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
}

static void end(struct rig *rig)
{
	rig_kill(rig);
	rig_disconnect(rig);
}

static struct known known_of(const struct fuse_entry_out *entry)
{
	return (struct known){ .nodeid = entry->nodeid, .generation = entry->generation };
}

/* d, and f in it, whose content is "content". */
static void make_objects(struct rig *rig)
{
	struct fuse_entry_out entry;
	uint64_t fh;

	begin(rig);
	CHECK_OK(fecall_mkdir(&rig->f, ROOT, "d", 0755, &entry));
	dir = known_of(&entry);
	CHECK_OK(fecall_create(&rig->f, dir.nodeid, "f", O_RDWR, 0644, &entry, &fh));
	file = known_of(&entry);
	CHECK_EQ(fecall_write(&rig->f, file.nodeid, fh, 0, "content", 7), 7);
	CHECK_OK(fecall_release(&rig->f, file.nodeid, fh));
}

/* As a kernel decodes a handle; "try again" is tried again. */
static void decode(struct rig *rig, struct known k)
{
	struct fuse_entry_out entry;
	int ret = -ENOMEM;

	for (unsigned i = 0; ret == -ENOMEM && i < SCAN_TRIES; i++) {
		if (i)
			(void)poll(NULL, 0, 100);
		ret = fecall_lookup(&rig->f, k.nodeid, ".", &entry);
	}
	CHECK_OK(ret);
	CHECK_EQ(entry.nodeid, k.nodeid);
	CHECK_EQ(entry.generation, k.generation);
}

static void decode_file(struct rig *rig)
{
	char text[16] = "";
	uint64_t fh;

	decode(rig, file);
	CHECK_OK(fecall_open(&rig->f, file.nodeid, O_RDONLY, &fh));
	CHECK_EQ(fecall_read(&rig->f, file.nodeid, fh, 0, text, sizeof(text) - 1), 7);
	CHECK_OK(strcmp(text, "content"));
	CHECK_OK(fecall_release(&rig->f, file.nodeid, fh));
}

static void host_rename(const struct rig *rig, const char *from, const char *to)
{
	char a[4096], b[4096];

	(void)snprintf(a, sizeof(a), "%s/%s", rig->share, from);
	(void)snprintf(b, sizeof(b), "%s/%s", rig->share, to);
	CHECK_OK(rename(a, b));
}

/* A number of the daemon's status. */
static long status_number(const char *member)
{
	FILE *p = popen(getenv("MODE_STATUS"),
			"re"); /* NOLINT(cert-env33-c): the test's own command */
	char text[8192], key[64];
	const char *at;
	size_t n;

	CHECK(p);
	n = fread(text, 1, sizeof(text) - 1, p);
	text[n] = '\0';
	CHECK_OK(pclose(p));
	(void)snprintf(key, sizeof(key), "\"%s\": ", member);
	at = strstr(text, key);
	CHECK(at);
	return strtol(at + strlen(key), NULL, 10);
}

/* The object may be seen before the scan is at its end. */
static bool was_scanned(void)
{
	for (unsigned i = 0; i < SCAN_TRIES; i++) {
		if (status_number("completed") > 0)
			return true;
		(void)poll(NULL, 0, 100);
	}
	return false;
}

/* --- the columns ------------------------------------------------------------------------------------------------ */

static void test_restart(struct rig *rig)
{
	make_objects(rig);
	end(rig);
	begin(rig);
	decode_file(rig);
	decode(rig, dir);
	end(rig);
}

static void test_renamed_while_it_runs(struct rig *rig)
{
	make_objects(rig);
	host_rename(rig, "d", "e");
	(void)poll(NULL, 0, STALE_MS);
	decode(rig, dir);
	decode_file(rig);
	host_rename(rig, "e/f", "g");
	(void)poll(NULL, 0, STALE_MS);
	decode_file(rig);
	end(rig);
}

static void test_directory_renamed_meanwhile(struct rig *rig)
{
	make_objects(rig);
	end(rig);
	host_rename(rig, "d", "e");
	begin(rig);
	decode(rig, dir);
	decode_file(rig);
	if (expected("MODE_BY_HANDLE")) {
		CHECK(status_number("by_handle") > 0);
		CHECK_EQ(status_number("completed"), 0);
	} else {
		CHECK_EQ(status_number("by_handle"), 0);
		CHECK(was_scanned());
	}
	end(rig);
}

static void test_file_renamed_meanwhile(struct rig *rig)
{
	make_objects(rig);
	end(rig);
	host_rename(rig, "d/f", "g");
	begin(rig);
	decode_file(rig);
	CHECK(was_scanned());
	end(rig);
}

static long host_owner(const struct rig *rig, const char *name)
{
	char path[4096];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", rig->share, name);
	CHECK_OK(lstat(path, &st));
	return (long)st.st_uid;
}

static void test_owners(struct rig *rig)
{
	const struct fuse_setattr_in in = { .valid = FATTR_UID, .uid = OTHER_USER };
	struct fuse_entry_out entry;
	uint64_t fh;
	int ret;

	begin(rig);
	rig->f.uid = rig->f.gid = GUEST_USER;
	ret = fecall_create(&rig->f, ROOT, "u", O_RDWR, 0644, &entry, &fh);
	CHECK_EQ(ret ? ret : host_owner(rig, "u"), expected("MODE_OWNER"));
	rig->f.uid = rig->f.gid = 0;
	CHECK_OK(fecall_create(&rig->f, ROOT, "r", O_RDWR, 0644, &entry, &fh));
	ret = fecall_setattr(&rig->f, entry.nodeid, &in, NULL);
	CHECK_EQ(ret ? ret : host_owner(rig, "r"), expected("MODE_CHOWN"));
	CHECK_EQ(fecall_mknod(&rig->f, ROOT, "n", S_IFBLK | 0644, &entry), expected("MODE_DEVICE"));
	end(rig);
}

static const struct rig_test tests[] = {
	{ "restart", test_restart },
	{ "renamed-while-it-runs", test_renamed_while_it_runs },
	{ "directory-renamed-meanwhile", test_directory_renamed_meanwhile },
	{ "file-renamed-meanwhile", test_file_renamed_meanwhile },
	{ "owners", test_owners },
};

int main(int argc, char **argv)
{
	return rig_main(argc, argv, tests, ARRAY_LEN(tests));
}
