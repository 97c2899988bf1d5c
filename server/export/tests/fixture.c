/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fixture.c - see fixture.h. For tests only.
 */
#include "export/tests/fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/holdfast-test-XXXXXX");
	if (!mkdtemp(f->dir)) {
		free(f);
		return -1;
	}
	f->dirfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return f->dirfd < 0 ? -1 : 0;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	DIR *d = opendir(f->dir);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (entry->d_type == DT_REG || entry->d_type == DT_LNK)
			(void)unlinkat(f->dirfd, entry->d_name, 0);
	if (d)
		(void)closedir(d);
	(void)fd_close(f->dirfd);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

struct identity fixture_identity(uint64_t n)
{
	struct identity id;

	memset(&id, 0, sizeof(id));
	memset(id.place.fsid, 0x5a, sizeof(id.place.fsid));
	if (n % 3 == 1)
		memset(id.place.subvol, 0x17, sizeof(id.place.subvol));
	if (n % 3 == 2)
		id.place.attachment = 0x1234567890abcdefu;
	id.btime_ns = (int64_t)(1700000000000000000u + n * 1000);
	id.handle_type = 1;
	id.handle_len = 8;
	put_le64(id.handle, n + 1);
	return id;
}

struct record fixture_record(enum record_kind kind, uint64_t rowid, uint64_t n, const char *name,
			     bool multi)
{
	struct record rec;

	memset(&rec, 0, sizeof(rec));
	rec.kind = kind;
	rec.rowid.v = rowid;
	rec.generation.v = (uint32_t)n + 7;
	rec.row.identity = fixture_identity(n);
	rec.row.ino = n + 100;
	rec.row.type = DT_REG;
	rec.row.multi = multi;
	if (name && name_set(&rec.row.name, ROWID_ROOT, name))
		abort();
	return rec;
}

uint64_t fixture_random(uint64_t *seed)
{
	/* xorshift64* */
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1du;
}
