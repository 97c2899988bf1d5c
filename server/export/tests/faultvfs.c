/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * faultvfs.c - see faultvfs.h. A file is the default VFS's file behind a table of methods of ours.
 * The counters are atomic: the drainer's thread counts too.
 */
#include "export/tests/faultvfs.h"

#include <sqlite3.h>
#include <stddef.h>
#include <string.h>

struct fault_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind us in the same allocation */
};

static struct {
	sqlite3_vfs vfs;
	sqlite3_vfs *real;
	unsigned left; /* calls until the fault; 0: none comes */
	unsigned hits;
	bool lasting;
	enum fault kind;
} shim;

void faultvfs_arm(enum fault kind, unsigned n, bool lasting)
{
	__atomic_store_n(&shim.left, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&shim.kind, kind, __ATOMIC_SEQ_CST);
	__atomic_store_n(&shim.lasting, lasting, __ATOMIC_SEQ_CST);
	__atomic_store_n(&shim.hits, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&shim.left, n, __ATOMIC_SEQ_CST);
}

bool faultvfs_disarm(void)
{
	__atomic_store_n(&shim.left, 0, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&shim.hits, __ATOMIC_SEQ_CST) != 0;
}

/* Counts a call; the code to fail with, or SQLITE_OK. `grows`: the call may need room on the disk. */
static int fault(int ioerr, bool grows)
{
	unsigned left = __atomic_load_n(&shim.left, __ATOMIC_SEQ_CST);
	enum fault kind = __atomic_load_n(&shim.kind, __ATOMIC_SEQ_CST);

	if (!left || (kind == FAULT_FULL && !grows))
		return SQLITE_OK;
	if (left > 1) {
		(void)__atomic_sub_fetch(&shim.left, 1, __ATOMIC_SEQ_CST);
		return SQLITE_OK;
	}
	if (!__atomic_load_n(&shim.lasting, __ATOMIC_SEQ_CST))
		__atomic_store_n(&shim.left, 0, __ATOMIC_SEQ_CST);
	(void)__atomic_add_fetch(&shim.hits, 1, __ATOMIC_SEQ_CST);
	if (kind == FAULT_IOERR)
		return ioerr;
	return kind == FAULT_FULL ? SQLITE_FULL : SQLITE_IOERR_NOMEM;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
	return ((struct fault_file *)(void *)f)->real;
}

/* --- files -------------------------------------------------------------------------------------- */

static int file_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}
static int file_read(sqlite3_file *f, void *buf, int len, sqlite3_int64 at)
{
	int rc = fault(SQLITE_IOERR_READ, false);

	return rc ? rc : real_of(f)->pMethods->xRead(real_of(f), buf, len, at);
}
static int file_write(sqlite3_file *f, const void *buf, int len, sqlite3_int64 at)
{
	int rc = fault(SQLITE_IOERR_WRITE, true);

	return rc ? rc : real_of(f)->pMethods->xWrite(real_of(f), buf, len, at);
}
static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int rc = fault(SQLITE_IOERR_TRUNCATE, false);

	return rc ? rc : real_of(f)->pMethods->xTruncate(real_of(f), size);
}
static int file_sync(sqlite3_file *f, int flags)
{
	int rc = fault(SQLITE_IOERR_FSYNC, true);

	return rc ? rc : real_of(f)->pMethods->xSync(real_of(f), flags);
}
static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	int rc = fault(SQLITE_IOERR_FSTAT, false);

	return rc ? rc : real_of(f)->pMethods->xFileSize(real_of(f), size);
}
static int file_lock(sqlite3_file *f, int level)
{
	int rc = fault(SQLITE_IOERR_LOCK, false);

	return rc ? rc : real_of(f)->pMethods->xLock(real_of(f), level);
}
static int file_unlock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), level);
}
static int file_check_lock(sqlite3_file *f, int *out)
{
	int rc = fault(SQLITE_IOERR_CHECKRESERVEDLOCK, false);

	return rc ? rc : real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}
static int file_control(sqlite3_file *f, int op, void *arg)
{
	return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}
static int file_sector(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}
static int file_traits(sqlite3_file *f)
{
	return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}
static int file_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	int rc = fault(SQLITE_IOERR_SHMMAP, true);

	return rc ? rc : real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}
static int file_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	int rc = flags & SQLITE_SHM_LOCK ? fault(SQLITE_IOERR_SHMLOCK, false) : SQLITE_OK;

	return rc ? rc : real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}
static void file_shm_barrier(sqlite3_file *f)
{
	real_of(f)->pMethods->xShmBarrier(real_of(f));
}
static int file_shm_unmap(sqlite3_file *f, int remove)
{
	return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_lock,
	.xFileControl = file_control,
	.xSectorSize = file_sector,
	.xDeviceCharacteristics = file_traits,
	.xShmMap = file_shm_map,
	.xShmLock = file_shm_lock,
	.xShmBarrier = file_shm_barrier,
	.xShmUnmap = file_shm_unmap,
};

/* --- the VFS ------------------------------------------------------------------------------------ */

static int vfs_open(sqlite3_vfs *v, sqlite3_filename name, sqlite3_file *f, int flags, int *out)
{
	struct fault_file *file = (struct fault_file *)(void *)f;
	int rc = fault(SQLITE_CANTOPEN, true);

	(void)v;
	file->base.pMethods = NULL;
	file->real = (sqlite3_file *)(void *)(file + 1);
	file->real->pMethods = NULL;
	if (!rc)
		rc = shim.real->xOpen(shim.real, name, file->real, flags, out);
	if (file->real->pMethods)
		file->base.pMethods = &methods;
	return rc;
}
static int vfs_delete(sqlite3_vfs *v, const char *name, int sync)
{
	int rc = fault(SQLITE_IOERR_DELETE, false);

	(void)v;
	return rc ? rc : shim.real->xDelete(shim.real, name, sync);
}
static int vfs_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
	int rc = fault(SQLITE_IOERR_ACCESS, false);

	(void)v;
	return rc ? rc : shim.real->xAccess(shim.real, name, flags, out);
}
static int vfs_full_pathname(sqlite3_vfs *v, const char *name, int len, char *out)
{
	(void)v;
	return shim.real->xFullPathname(shim.real, name, len, out);
}
static int vfs_last_error(sqlite3_vfs *v, int len, char *out)
{
	(void)v;
	return shim.real->xGetLastError(shim.real, len, out);
}

int faultvfs_register(void)
{
	if (shim.real)
		return SQLITE_OK;
	shim.real = sqlite3_vfs_find(NULL);
	if (!shim.real)
		return SQLITE_ERROR;
	shim.vfs = *shim.real; /* randomness, time, dynamic loading: as they are */
	shim.vfs.pNext = NULL;
	shim.vfs.zName = FAULTVFS_NAME;
	shim.vfs.szOsFile = (int)sizeof(struct fault_file) + shim.real->szOsFile;
	shim.vfs.xOpen = vfs_open;
	shim.vfs.xDelete = vfs_delete;
	shim.vfs.xAccess = vfs_access;
	shim.vfs.xFullPathname = vfs_full_pathname;
	shim.vfs.xGetLastError = vfs_last_error;
	return sqlite3_vfs_register(&shim.vfs, 0);
}
