/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blockid.c - a block device whose only content is a UUID, for a mount to be known by.
 *
 * What exports a mount by NFS names the file system in each handle. A FUSE mount has nothing to be named by but
 * st_dev, which is another one after the next mount, and then every handle is stale. A fuseblk mount is one of a block
 * device, and libblkid, which nfs-ganesha and mountd ask, gives that device's UUID. So here is a device with a UUID and
 * nothing else: a loop device over a small file, which FUSE never reads or writes.
 *
 * libblkid has no format that is a UUID alone. The one with the least meaning beside it is the superblock of dm-verity's
 * hash area (cryptsetup, "Verity on-disk format"): nothing mounts it, swaps to it or puts it together by itself. In the
 * first 512 bytes, little-endian:
 *
 *      0  8   "verity\0\0"           64   4  data block size, 4096
 *      8  4   version, 1             68   4  hash block size, 4096
 *     12  4   hash type, 1           72   8  data blocks, 0
 *     16 16   UUID                   80   2  length of the salt, 0
 *     32 32   "sha256"               82 430  zeros
 *
 * One thread; for a daemon in the process that mounts (fusekeeper.c).
 */
#include "transport/blockid.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"

#define LOOP_CONTROL "/dev/loop-control"
#define SUPERBLOCK_LEN 512
#define LOCK_TRIES 50	/* a second */
#define ATTACH_TRIES 64 /* others take free devices too */

struct blockid {
	int image; /* holds the lock; not the one the loop device has, which outlives us */
	int loop;
	char device[32];
};

int blockid_uuid(const uint8_t export_uuid[BLOCKID_UUID_LEN], uint8_t out[BLOCKID_UUID_LEN])
{
	static const char label[] = "holdfast mount uuid";
	uint8_t bytes[sizeof(label) + BLOCKID_UUID_LEN];
	uint8_t hash[EVP_MAX_MD_SIZE];

	memcpy(bytes, label, sizeof(label));
	memcpy(bytes + sizeof(label), export_uuid, BLOCKID_UUID_LEN);
	if (EVP_Digest(bytes, sizeof(bytes), hash, NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	memcpy(out, hash, BLOCKID_UUID_LEN);
	out[6] = (uint8_t)((out[6] & 0x0f) | 0x80);
	out[8] = (uint8_t)((out[8] & 0x3f) | 0x80);
	return 0;
}

static int write_image(int fd, const uint8_t uuid[BLOCKID_UUID_LEN])
{
	static const char algorithm[] = "sha256";
	uint8_t block[SUPERBLOCK_LEN] = "verity";
	int error;

	put_le32(block + 8, 1);
	put_le32(block + 12, 1);
	memcpy(block + 16, uuid, BLOCKID_UUID_LEN);
	memcpy(block + 32, algorithm, sizeof(algorithm));
	put_le32(block + 64, 4096);
	put_le32(block + 68, 4096);
	error = pwrite_full(fd, block, sizeof(block), 0);
	if (error)
		return error;
	return ftruncate(fd, BLOCKID_SIZE) < 0 ? -errno : 0;
}

static int open_image(struct blockid *b, int dirfd, const char *name,
		      const uint8_t uuid[BLOCKID_UUID_LEN])
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	const struct timespec moment = { .tv_nsec = 20000000 };
	unsigned tries = 0;
	struct stat st;

	b->image = openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (b->image < 0 || fstat(b->image, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	/* Who keeps it for a daemon that was killed is about to end, too. */
	while (fcntl(b->image, F_OFD_SETLK, &lock) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		if (++tries == LOCK_TRIES)
			return -EBUSY;
		(void)nanosleep(&moment, NULL);
	}
	return write_image(b->image, uuid);
}

/* A device of this number for the image: 0, -EBUSY if somebody was faster, or another -errno. */
static int attach(struct blockid *b, int number, int image)
{
	struct loop_config config = { .fd = (uint32_t)image, .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int error;

	(void)snprintf(b->device, sizeof(b->device), "/dev/loop%d", number);
	(void)snprintf((char *)config.info.lo_file_name, sizeof(config.info.lo_file_name),
		       "holdfast mount uuid");
	b->loop = open(b->device, O_RDWR | O_CLOEXEC);
	if (b->loop < 0)
		return -errno;
	if (ioctl(b->loop, LOOP_CONFIGURE, &config) == 0)
		return 0;
	error = -errno;
	b->loop = fd_close(b->loop);
	return error;
}

static int find_device(struct blockid *b, int dirfd, const char *name)
{
	CLEANUP_FD int image = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP_FD int control = open(LOOP_CONTROL, O_RDWR | O_CLOEXEC);
	int error = -EBUSY;

	if (image < 0)
		return -errno;
	if (control < 0) {
		error = -errno;
		if (error == -ENOENT || error == -ENODEV || error == -ENXIO)
			log_error("--mount-uuid: " LOOP_CONTROL
				  " is missing; load the module with 'modprobe loop'");
		else
			log_error("--mount-uuid: cannot open " LOOP_CONTROL ": %s%s",
				  strerror(-error),
				  error == -EACCES || error == -EPERM ? "; it takes root" : "");
		return error;
	}
	for (int i = 0; i < ATTACH_TRIES && error == -EBUSY; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		error = number < 0 ? -errno : attach(b, number, image);
	}
	if (error)
		log_error("--mount-uuid: no loop device to be had: %s", strerror(-error));
	return error;
}

int blockid_open(int dirfd, const char *name, const char *dirpath,
		 const uint8_t uuid[BLOCKID_UUID_LEN], struct blockid **out)
{
	struct blockid *b = calloc(1, sizeof(*b));
	int error;

	if (!b)
		return -ENOMEM;
	b->image = b->loop = -1;
	error = open_image(b, dirfd, name, uuid);
	if (error == -EBUSY)
		log_error("--mount-uuid: another daemon has a mount with this UUID: two of them "
			  "could not be told apart");
	else if (error)
		log_error("--mount-uuid: cannot use %s/%s: %s", dirpath, name, strerror(-error));
	else
		error = find_device(b, dirfd, name);
	if (error) {
		blockid_free(b);
		return error;
	}
	*out = b;
	return 0;
}

const char *blockid_device(const struct blockid *b)
{
	return b->device;
}

void blockid_free(struct blockid *b)
{
	if (!b)
		return;
	(void)fd_close(b->loop);
	(void)fd_close(b->image);
	free(b);
}
