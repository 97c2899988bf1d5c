/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostrequest.c - requests out of chains, answers into them.
 *
 * A request is copied once, before anybody looks at it: what the guest changes after that changes nothing. Only file
 * data stays in the guest's pages. The length in the used ring is what was written, and what the reply's header says.
 */
#include "transport/vhostrequest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/util.h"

/* A request that is answered after its chain is out of hand, by another thread. Its answer is a header. */
struct late {
	struct vhostrequest request; /* first: the token is this address */
	struct late *next;	     /* of those that are kept */
	struct fuse_out_header answer;
	size_t len;
	struct iovec iov[];
};

/* --- rings ----------------------------------------------------------------------------------------- */

int vhostring_new(struct vring *ring, atomic_uint_fast64_t *notifications, struct vhostring **out)
{
	struct vhostring *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	atomic_init(&r->refs, 1);
	r->ring = ring;
	r->notifications = notifications;
	r->call = -1;
	pthread_mutex_init(&r->lock, NULL);
	*out = r;
	return 0;
}

struct vhostring *vhostring_ref(struct vhostring *r)
{
	atomic_fetch_add(&r->refs, 1);
	return r;
}

void vhostring_unref(struct vhostring *r)
{
	if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	vring_free(r->ring);
	(void)fd_close(r->call);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void vhostring_set_call(struct vhostring *r, int fd)
{
	int old;

	pthread_mutex_lock(&r->lock);
	old = r->call;
	r->call = fd;
	pthread_mutex_unlock(&r->lock);
	(void)fd_close(old);
}

/* With the lock held. An eventfd that is full has told already. */
static void notify_locked(struct vhostring *r)
{
	if (r->dropped || r->call < 0 || !vring_should_notify(r->ring))
		return;
	atomic_fetch_add_explicit(r->notifications, 1, memory_order_relaxed);
	if (eventfd_write(r->call, 1) < 0 && errno != EAGAIN)
		log_limited(LOG_LEVEL_WARN, "vhost-user: the guest cannot be notified: %s",
			    strerror(errno));
}

void vhostring_notify(struct vhostring *r)
{
	pthread_mutex_lock(&r->lock);
	notify_locked(r);
	pthread_mutex_unlock(&r->lock);
}

/* Writes an answer to where its request has room for it. */
static void scatter(const struct vhostrequest *r, const struct iovec *iov, int count)
{
	const struct iovec *to = r->writable;
	size_t at = 0; /* in *to */

	for (int i = 0; i < count; i++) {
		const uint8_t *from = iov[i].iov_base;
		size_t left = iov[i].iov_len;

		while (left > 0) {
			size_t n = to->iov_len - at < left ? to->iov_len - at : left;

			memcpy((uint8_t *)to->iov_base + at, from, n);
			from += n;
			left -= n;
			at += n;
			if (at == to->iov_len) {
				to++;
				at = 0;
			}
		}
	}
}

/* With the lock of its ring held. */
static void push_late(const struct late *late)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)&late->answer, .iov_len = late->len };

	scatter(&late->request, &iov, 1);
	vring_push(late->request.ring->ring, late->request.head, (uint32_t)late->len);
}

static void late_free(struct late *late)
{
	vhostring_unref(late->request.ring);
	guestmem_unref(late->request.memory);
	free(late);
}

/* The list of those that are kept; their references on the ring come with it. */
static struct late *take_kept_locked(struct vhostring *r)
{
	struct late *kept = r->kept;

	r->kept = NULL;
	return kept;
}

static void free_all(struct late *late)
{
	while (late) {
		struct late *next = late->next;

		late_free(late);
		late = next;
	}
}

void vhostring_drop(struct vhostring *r)
{
	struct late *kept;

	pthread_mutex_lock(&r->lock);
	r->dropped = true;
	kept = take_kept_locked(r);
	pthread_mutex_unlock(&r->lock);
	free_all(kept);
}

void vhostring_stop(struct vhostring *r)
{
	pthread_mutex_lock(&r->lock);
	r->stopped = true;
	pthread_mutex_unlock(&r->lock);
}

void vhostring_go_on(struct vhostring *r)
{
	struct late *kept;

	pthread_mutex_lock(&r->lock);
	r->stopped = false;
	kept = take_kept_locked(r);
	for (const struct late *late = kept; late; late = late->next)
		push_late(late);
	if (kept)
		notify_locked(r);
	pthread_mutex_unlock(&r->lock);
	free_all(kept);
}

/* --- from a chain to a message ----------------------------------------------------------------------- */

/* Copies the first bytes of the pieces, at most `len`; how many. */
static size_t gather(uint8_t *to, size_t len, const struct iovec *iov, unsigned count)
{
	size_t done = 0;

	for (unsigned i = 0; i < count && done < len; i++) {
		size_t n = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy(to + done, iov[i].iov_base, n);
		done += n;
	}
	return done;
}

/* The pieces without their first `skip` bytes: where they begin, and how many; *scratch is used up as needed. */
static const struct iovec *cut_front(const struct iovec *iov, unsigned count, size_t skip,
				     struct iovec *scratch, unsigned *left)
{
	unsigned i = 0;

	while (i < count && skip >= iov[i].iov_len)
		skip -= iov[i++].iov_len;
	*left = count - i;
	if (!skip || i == count)
		return iov + i;
	memcpy(scratch, iov + i, *left * sizeof(*iov));
	scratch[0].iov_base = (uint8_t *)scratch[0].iov_base + skip;
	scratch[0].iov_len -= skip;
	return scratch;
}

void vhostrequest_parse(struct vring_chain *chain, uint8_t *bytes,
			struct iovec pieces[VRING_CHAIN_MAX], struct fuse_message *out)
{
	const size_t write_len = sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in);
	const struct iovec *writable = chain->iov + chain->readable;
	const size_t head = sizeof(struct fuse_out_header);
	uint32_t opcode = 0;

	*out = (struct fuse_message){ .bytes = bytes };
	out->len = gather(bytes, write_len, chain->iov, chain->readable);
	if (out->len >= sizeof(struct fuse_in_header))
		memcpy(&opcode, bytes + offsetof(struct fuse_in_header, opcode), sizeof(opcode));
	if (opcode != FUSE_WRITE && chain->readable_len > out->len) {
		const struct iovec *rest;
		unsigned count;

		/* What is behind the header is read on from there: no byte is looked at twice. */
		rest = cut_front(chain->iov, chain->readable, out->len, pieces, &count);
		out->len += gather(bytes + out->len, FUSE_REQUEST_MAX - out->len, rest, count);
	}
	if (chain->readable_len > out->len) {
		out->payload = cut_front(chain->iov, chain->readable, out->len, pieces,
					 &out->payload_count);
		out->payload_len = chain->readable_len - out->len;
	}
	if (opcode == FUSE_READ && chain->writable_len > head) {
		out->room = cut_front(writable, chain->writable, head, pieces, &out->room_count);
		out->room_len = chain->writable_len - head;
		/* Both in `pieces`: a READ has no payload, and is refused for it. */
		if (out->payload_count) {
			out->room_count = 0;
			out->room_len = 0;
		}
	}
}

/* --- answers ------------------------------------------------------------------------------------------- */

/* Ends a request: what is to be written of the answer, and the chain goes back with `len`. */
static void finish(struct vhostrequest *r, const struct iovec *iov, int count, size_t len)
{
	struct vhostring *ring = r->ring;
	struct late *late;

	if (!r->memory) {
		scatter(r, iov, count);
		vring_push(ring->ring, r->head, (uint32_t)len);
		if (r->pushed)
			(*r->pushed)++;
		else
			vhostring_notify(ring);
		return;
	}
	late = (struct late *)r;
	late->len = gather((uint8_t *)&late->answer, len, iov, (unsigned)count);
	pthread_mutex_lock(&ring->lock);
	if (ring->stopped && !ring->dropped) {
		late->next = ring->kept;
		ring->kept = late;
		late = NULL;
	} else if (!ring->dropped) {
		push_late(late);
		notify_locked(ring);
	}
	pthread_mutex_unlock(&ring->lock);
	if (late)
		late_free(late);
}

void vhostrequest_done(struct vhostrequest *r, size_t len)
{
	finish(r, NULL, 0, len);
}

static int reply(void *token, const struct iovec *iov, int count, size_t placed)
{
	struct vhostrequest *r = token;
	struct fuse_out_header out;
	struct iovec head = { .iov_base = &out, .iov_len = sizeof(out) };
	size_t total = placed;

	for (int i = 0; i < count; i++)
		total += iov[i].iov_len;
	if (total <= r->room) {
		finish(r, iov, count, total);
		return 0;
	}
	/* It gave less room than its request needs: an error takes the answer's place, if that fits. */
	memcpy(&out, iov[0].iov_base, sizeof(out));
	out.len = sizeof(out);
	out.error = -EIO;
	if (r->room < sizeof(out))
		finish(r, NULL, 0, 0);
	else
		finish(r, &head, 1, sizeof(out));
	return -EMSGSIZE;
}

void vhostrequest_fail(struct vhostrequest *r, const void *bytes, size_t len, int error)
{
	struct fuse_out_header out = { .len = sizeof(out), .error = error };
	struct iovec iov = { .iov_base = &out, .iov_len = sizeof(out) };
	const size_t at = offsetof(struct fuse_in_header, unique);

	if (len >= at + sizeof(out.unique))
		memcpy(&out.unique, (const uint8_t *)bytes + at, sizeof(out.unique));
	(void)reply(r, &iov, 1, 0);
}

/* The late answer is a header: the pieces that hold it are enough. */
static void *detach(void *token)
{
	const struct vhostrequest *r = token;
	unsigned count = 0;
	size_t room = 0;
	struct late *late;

	while (count < r->count && room < sizeof(struct fuse_out_header))
		room += r->writable[count++].iov_len;
	late = malloc(sizeof(*late) + count * sizeof(late->iov[0]));
	if (!late)
		return NULL;
	memcpy(late->iov, r->writable, count * sizeof(late->iov[0]));
	late->request =
		(struct vhostrequest){ .ring = vhostring_ref(r->ring),
				       .head = r->head,
				       .writable = late->iov,
				       .count = count,
				       .room = room,
				       .memory = guestmem_ref(vring_memory(r->ring->ring)) };
	return &late->request;
}

const struct fuse_transport_ops vhostrequest_ops = { .reply = reply, .detach = detach };
