/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolver.c - from a nodeid to an object that lies in the share at this moment.
 *
 * First up: from the nodeid through parents, by the cache's names and the map's, to a directory that was found
 * in its place within the last second, at the latest the root. Then down again: each component is looked at
 * under its name, and what is seen must have the identity that is expected. A component that is not where
 * it should be is searched for: by its descriptor's present path, by its further names, as a directory by
 * handle with the kernel's own check that it lies in the share; and at last by a scan of the share.
 *
 * Everything that comes from map, ring or guest only ever proposes; the look decides. Iterative, with a budget of
 * DEPTH_MAX components, so that a map whose parents form a loop ends. Runs in each worker's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "export/resolver_private.h"

/* --- up ------------------------------------------------------------------------------------------------------ */

static int steps_reserve(struct worker *w, size_t count)
{
	size_t room = w->steps_room ? w->steps_room : 32;
	struct step *grown;

	if (count <= w->steps_room)
		return 0;
	while (room < count)
		room *= 2;
	grown = realloc(w->steps, room * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	w->steps = grown;
	w->steps_room = room;
	return 0;
}

static void step_from_node(struct worker *w, struct node *n, struct step *s)
{
	s->nodeid = cache_nodeid(n);
	s->rowid = cache_rowid(n);
	s->type = cache_type(n);
	s->ino = cache_ino(n);
	s->tweak = cache_tweak(n);
	s->generation = cache_generation(n);
	s->row = false;
	s->open = cache_fd(n) >= 0;
	cache_identity(n, &s->identity);
	s->named = cache_name(w->x->cache, n, &s->parent, s->name);
}

/* Rows must fit their number: who edits the map can propose nothing that was not minted. */
static int step_from_map(struct worker *w, nodeid_t id, struct step *s)
{
	struct minted minted;
	struct found found;
	int ret;

	s->nodeid = id;
	s->rowid = mint_rowid(w->mint, id);
	ret = store_find(w, s->rowid, &found);
	if (ret)
		return ret;
	ret = mint_identity(w->mint, &found.row.identity, found.row.ino, found.row.tweak, &minted);
	if (ret)
		return ret;
	if (!rowid_equal(minted.rowid, s->rowid))
		return -EILSEQ;
	s->type = found.row.type;
	s->ino = found.row.ino;
	s->tweak = found.row.tweak;
	s->generation = minted.generation;
	s->identity = found.row.identity;
	s->row = true;
	s->open = false;
	s->named = found.count > 0;
	if (s->named) {
		s->parent = mint_nodeid(w->mint, found.names[0].parent);
		memcpy(s->name, found.names[0].text, found.names[0].len + 1U);
	}
	return 0;
}

/*
 * Climbs from `id`, putting each component on the worker's stack from `base` on. *top is one past the
 * last; *anchor a directory that was found in its place a moment ago. -ENODATA: neither cache nor map knows
 * `id`. Loops are told by Brent's way.
 */
static int climb(struct worker *w, nodeid_t id, size_t base, size_t *top, struct node **anchor)
{
	nodeid_t mark = { 0 };
	size_t limit = 2;

	for (*top = base; *top - base < DEPTH_MAX; (*top)++) {
		struct node *n = cache_find(w->x->cache, id);
		struct step *s;
		int ret;

		if (n && cache_fresh(n, CHECK_NS)) {
			*anchor = n;
			return 0;
		}
		if (nodeid_equal(id, mark)) {
			cache_put(w->x->cache, n);
			return -ELOOP;
		}
		if (*top - base == limit) {
			mark = id;
			limit *= 2;
		}
		ret = steps_reserve(w, *top + 1);
		if (ret < 0) {
			cache_put(w->x->cache, n);
			return ret;
		}
		s = &w->steps[*top];
		if (n) {
			step_from_node(w, n, s);
			if (!s->named && cache_persistent(n)) /* the map may know another name */
				step_from_map(w, id, s);
			cache_put(w->x->cache, n);
		} else {
			ret = step_from_map(w, id, s);
			if (ret < 0 && *top > base)
				break; /* its child has to be found by other means */
			if (ret < 0)
				return ret == -ENOENT ? -ENODATA : ret;
		}
		if (!s->named) {
			(*top)++;
			break;
		}
		id = s->parent;
	}
	/* No way up to the root: the last component of the stack is to be found without its parent. */
	if (*top - base >= DEPTH_MAX)
		return -ELOOP;
	w->steps[*top - 1].named = false;
	*anchor = NULL;
	return 0;
}

/* --- down: where it should be -------------------------------------------------------------------------------- */

/* Is what was looked at the object of the step? Then its node, checked and named. */
int step_settle(struct worker *w, const struct step *s, const struct looked *looked,
		struct node *parent, const char *name, int fd, struct node **out)
{
	struct cache *c = w->x->cache;
	struct node *n;
	int ret;

	if (!looked->anonymous && !identity_equal(&looked->id, &s->identity))
		return -ESTALE;
	if (looked->persistent) {
		/* Its numbers were minted from this identity before: by who made the node, or from the row. */
		struct minted minted = { .rowid = s->rowid,
					 .nodeid = s->nodeid,
					 .generation = s->generation,
					 .tweak = s->tweak };

		ret = entry_node_minted(w, looked, &minted, &n);
	} else {
		ret = entry_node(w, looked, parent, name, fd, &n);
	}
	if (ret)
		return ret;
	if (!nodeid_equal(cache_nodeid(n), s->nodeid)) {
		cache_put(c, n);
		return -ESTALE;
	}
	if (parent && name) {
		bool same = cache_has_name(c, n, cache_nodeid(parent), name);
		uint32_t recorded = same ? cache_recorded(c, n) : 0;

		if (s->row && !recorded)
			recorded = STORE_MARK_FIRST;

		cache_set_name(c, n, cache_nodeid(parent), name);
		cache_set_recorded(c, n, recorded);
	}
	cache_set_checked(c, n, parent ? cache_stamp(parent) : clock_ns(), looked);
	*out = n;
	return 0;
}

int step_by_name(struct worker *w, const struct step *s, struct node *parent, const char *name,
		 struct way *way, struct node **out)
{
	struct looked *looked = way->looked;
	bool target = nodeid_equal(s->nodeid, way->target);
	struct identity id;
	struct vantage at;
	CLEANUP_FD int fd = -1;
	int ret = entry_vantage(w, parent, &id, &at);

	/* What will be opened anyway is opened now, and looked at once, by its descriptor. */
	if (!ret && !s->open && (way->want_fd || !target))
		fd = openat(at.fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (!ret)
		ret = fd >= 0 ? hostfs_look_fd(w->x->hostfs, w->mint, &at, name, fd, looked)
			      : hostfs_look(w->x->hostfs, w->mint, &at, name, looked);
	if (!ret)
		ret = step_settle(w, s, looked, parent, name, fd, out);
	if (!ret && fd >= 0)
		cache_give_fd(w->x->cache, *out, fd_take(&fd)); /* at the cap it does without */
	if (!ret) {
		*way->fresh = target;
		atomic_fetch_add_explicit(&w->x->count.by_name, 1, memory_order_relaxed);
	}
	return ret;
}

/* --- the whole way ---------------------------------------------------------------------------------------------- */

bool says_elsewhere(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -ESTALE ||
	       error == -ENAMETOOLONG || error == -ELOOP || error == -EXDEV || error == -EOPNOTSUPP;
}

/* We may not look where it should be: its descriptor, if it has one, tells whether it is in the share. */
static int step_forbidden(struct worker *w, const struct step *s, struct node **out)
{
	int ret = step_by_cached_fd(w, s, out);

	if (ret == 0 || ret == -ESTALE)
		return ret;
	return ret == -EXDEV ? -ESTALE : -EACCES;
}

static int descend(struct worker *w, size_t base, size_t top, struct node *anchor, struct way *way,
		   struct node **out)
{
	struct node *n = anchor;
	int ret = 0;

	for (size_t i = top; i > base; i--) {
		struct step s = w->steps[i - 1]; /* nested calls may move the stack */
		struct node *child = NULL;

		ret = n && s.named ? step_by_name(w, &s, n, s.name, way, &child) : -ENOENT;
		if (says_elsewhere(ret))
			ret = step_search(w, &s, way, &child);
		else if (ret == -EACCES)
			ret = step_forbidden(w, &s, &child);
		cache_put(w->x->cache, n);
		n = ret == 0 ? child : NULL;
		/* A parent that was not found does not mean that its child cannot be. */
		if (ret < 0 && (!says_elsewhere(ret) || i == base + 1))
			return ret;
	}
	*out = n;
	return 0;
}

int climb_and_descend(struct worker *w, struct way *way, struct node **out)
{
	struct node *anchor = NULL;
	size_t base, top = 0;
	int ret;

	if (w->resolving >= RESOLVING_MAX)
		return -EAGAIN;
	base = w->steps_used;
	w->resolving++;
	ret = climb(w, way->target, base, &top, &anchor);
	if (ret == -ELOOP && top > base) {
		/* A loop: what is asked for has to be found without its parents. */
		w->steps[base].named = false;
		top = base + 1;
		anchor = NULL;
		ret = 0;
	}
	if (!ret) {
		w->steps_used = top; /* nested calls put theirs behind ours */
		ret = descend(w, base, top, anchor, way, out);
	}
	w->steps_used = base;
	w->resolving--;
	return ret;
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

/* Of the entries that may be an object's. */
static size_t trouble_first(nodeid_t id)
{
	return id.v % (TROUBLES / TROUBLE_WAYS) * TROUBLE_WAYS;
}

/* The entry of an object, or the one that it may take. With the lock held. */
static struct trouble *trouble_find(struct export *x, nodeid_t id)
{
	struct trouble *set = &x->troubles[trouble_first(id)];
	struct trouble *oldest = set;

	for (unsigned i = 0; i < TROUBLE_WAYS; i++) {
		if (nodeid_equal(set[i].nodeid, id))
			return &set[i];
		if (oldest->nodeid.v && (!set[i].nodeid.v || set[i].since < oldest->since))
			oldest = &set[i];
	}
	return oldest;
}

/* The same, begun now or known already. With the lock held. */
static struct trouble *trouble_locked(struct worker *w, nodeid_t id, uint64_t scans)
{
	struct trouble *t = trouble_find(w->x, id);
	uint64_t now = clock_ns();
	bool old = t->stale || now - t->since > 10 * TROUBLE_NS;

	/* What has no answer yet goes on, however long the scan takes. */
	if (!nodeid_equal(t->nodeid, id) || (old && scans > t->scans)) {
		t->since = now;
		t->scans = scans;
		t->stale = false;
		__atomic_store_n(&t->nodeid.v, id.v, __ATOMIC_RELAXED);
	}
	atomic_store(&w->x->any_trouble, true);
	return t;
}

/* The trouble with an object, begun now or known already. */
static struct trouble trouble_with(struct worker *w, nodeid_t id)
{
	const uint64_t scans = scan_finished(w->x);
	struct trouble got;

	pthread_mutex_lock(&w->x->trouble_lock);
	got = *trouble_locked(w, id, scans);
	pthread_mutex_unlock(&w->x->trouble_lock);
	return got;
}

/* A scan has not found it. */
static void trouble_is_stale(struct worker *w, nodeid_t id)
{
	const uint64_t scans = scan_finished(w->x);
	struct trouble *t;

	pthread_mutex_lock(&w->x->trouble_lock);
	t = trouble_locked(w, id, scans);
	t->stale = true;
	t->scans = scans;
	pthread_mutex_unlock(&w->x->trouble_lock);
}

/* Without the lock, as every lookup asks: one that begins at this moment may be missed, and ends with the next. */
static bool in_trouble(const struct export *x, nodeid_t id)
{
	const struct trouble *set = &x->troubles[trouble_first(id)];

	if (!atomic_load_explicit(&x->any_trouble, memory_order_relaxed))
		return false;
	for (unsigned i = 0; i < TROUBLE_WAYS; i++)
		if (__atomic_load_n(&set[i].nodeid.v, __ATOMIC_RELAXED) == id.v)
			return true;
	return false;
}

void trouble_ends(struct worker *w, nodeid_t id)
{
	struct trouble *t;

	if (!in_trouble(w->x, id))
		return;
	pthread_mutex_lock(&w->x->trouble_lock);
	t = trouble_find(w->x, id);
	if (nodeid_equal(t->nodeid, id))
		__atomic_store_n(&t->nodeid.v, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&w->x->trouble_lock);
}

bool nothing_lost(const struct export *x)
{
	return atomic_load(&x->complete) && !(x->ring && ring_shared_get(x->ring, RING_OVERFLOWED));
}

/* "Try again" is said for a bounded time; then it is ESTALE, with a line. */
static int answer_trouble(struct worker *w, nodeid_t id, int error)
{
	uint64_t since;

	/* A scan takes nothing for gone that it cannot reach. */
	if (w->scanning)
		return -ENOMEM;
	since = trouble_with(w, id).since;
	if (clock_ns() - since <= TROUBLE_NS)
		return -ENOMEM;
	trouble_ends(w, id);
	log_limited(LOG_LEVEL_WARN,
		    "share: an object could not be reached for a minute (%s): it is called "
		    "stale now",
		    strerror(-error));
	return -ESTALE;
}

static int answer(struct worker *w, const struct way *way, int error)
{
	struct counters *count = &w->x->count;
	int ret = error;

	switch (error) {
	case 0:
		trouble_ends(w, way->target);
		return 0;
	case -EBADMSG:
		worker_count_forged(w, "a handle whose row is not authentic");
		ret = -ESTALE;
		break;
	case -EILSEQ:
		worker_count_forged(w, "a handle whose row is that of another object");
		ret = -ESTALE;
		break;
	case -ENODATA: /* neither cache nor map knows the nodeid */
		atomic_fetch_add_explicit(&count->unknown, 1, memory_order_relaxed);
		log_limited(LOG_LEVEL_DEBUG, "guest: refused a handle whose nodeid no row has: "
					     "invented, or of an object long gone");
		ret = nothing_lost(w->x) ? -ESTALE : -ENOMEM;
		break;
	case -EINPROGRESS: /* until the scan ends, which will tell */
		ret = -ENOMEM;
		break;
	case -ESTALE:
		break;
	default:
		ret = answer_trouble(w, way->target, error);
	}
	atomic_fetch_add_explicit(ret == -ESTALE ? &count->stale : &count->again, 1,
				  memory_order_relaxed);
	return ret;
}

static int resolve_slowly(struct worker *w, struct way *way, struct node **out)
{
	struct trouble trouble;
	int ret = climb_and_descend(w, way, out);

	if (!says_elsewhere(ret) || ret == -ESTALE)
		return ret;
	if (w->scanning)
		return -ESTALE;

	/* There is a row, and its object is nowhere that we know: only a scan can tell. */
	trouble = trouble_with(w, way->target);
	if (trouble.stale) {
		scan_want(w->x); /* the second walk, by which its row goes */
		return -ESTALE;
	}
	ret = scan_consult(w, trouble.scans);
	if (ret == 0) {
		ret = climb_and_descend(w, way, out);
		if (says_elsewhere(ret) || ret == -ENODATA) {
			ret = -ESTALE;
			trouble_is_stale(w, way->target);
		} else {
			trouble_ends(w, way->target);
		}
	}
	return ret;
}

/*
 * The usual case of a node that was not looked at for a while: it is under its name still, in a directory that is fresh, and
 * a glance shows that it is unchanged. Only attributes are had of it.
 */
static bool glance_again(struct worker *w, struct node *n, struct looked *looked)
{
	struct cache *c = w->x->cache;
	char name[HOLDFAST_NAME_MAX + 1];
	struct seen seen = { .name = name, .looked = looked, .glance = true };
	struct identity id;
	struct vantage at;
	struct node *parent;
	bool same = false;

	if (!cache_persistent(n) || !cache_name(c, n, &seen.parent, name))
		return false;
	parent = cache_find(c, seen.parent);
	if (parent && cache_fresh(parent, CHECK_NS) && cache_fd(parent) >= 0) {
		seen.stamp = cache_stamp(parent);
		cache_vantage(parent, cache_fd(parent), &id, &at);
		same = hostfs_glance(w->x->hostfs, &at, name, looked) == 0 &&
		       cache_unchanged(c, n, &seen);
	}
	cache_put(c, parent);
	return same;
}

int resolve(struct worker *w, nodeid_t id, struct node **out, struct looked *looked, bool *fresh)
{
	struct export *x = w->x;
	struct looked own_looked;
	bool own_fresh;
	struct way way = { .target = id,
			   .looked = looked ? looked : &own_looked,
			   .fresh = fresh ? fresh : &own_fresh,
			   .want_fd = !looked };
	struct node *n = cache_find(x->cache, id);
	bool trusted;
	bool open;
	int ret;

	*way.fresh = false;
	if (w->unfit) {
		cache_put(x->cache, n);
		return -ENOMEM;
	}
	atomic_fetch_add_explicit(&x->count.lookups, 1, memory_order_relaxed);
	trusted = n && cache_fresh(n, CHECK_NS);
	open = n && cache_fd(n) >= 0;
	/* Who wants attributes is not made to open what a glance shows; who wants a descriptor would gain nothing by one. */
	if (n && !(trusted && (way.want_fd || open)) && (!way.want_fd || open) &&
	    glance_again(w, n, way.looked)) {
		atomic_fetch_add_explicit(&x->count.by_name, 1, memory_order_relaxed);
		trouble_ends(w, id);
		*way.fresh = true;
		*out = n;
		return 0;
	}
	if (trusted) {
		atomic_fetch_add_explicit(&x->count.hits, 1, memory_order_relaxed);
		*out = n;
		return 0;
	}
	cache_put(x->cache, n);
	if (id.v == 0)
		return answer(w, &way, -ENODATA);
	ret = answer(w, &way, resolve_slowly(w, &way, out));
	if (ret == -ESTALE) {
		/* Whoever holds it open goes on by the open file; nobody finds it any more. */
		n = cache_find(x->cache, id);
		if (n && !cache_nameless(n) && !nodeid_is_root(id))
			cache_drop(x->cache, n);
		cache_put(x->cache, n);
	}
	return ret;
}
