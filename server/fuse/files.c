/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * files.c - the table of open files and directories.
 *
 * Each slot has one atomic word: generation << 32 | open << 31 | references. Being open counts as one
 * reference. A reference is taken by compare-and-swap and only while the generation fits and the slot
 * is open; RELEASE clears the bit, and whoever drops the last reference closes the descriptor, moves
 * the generation on and gives the slot back. So READ racing RELEASE either has the file until it is
 * done, or gets -EBADF. Fields of a slot are written before the word is published (release order) and
 * after its last reference is gone. The mutex guards the list of free slots alone.
 *
 * Called by all threads that serve requests.
 */
#include "fuse/files.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/random.h>

#include "base/util.h"

#define STATE_OPEN ((uint64_t)1 << 31)
#define STATE_REFS (STATE_OPEN - 1)
#define NO_SLOT UINT32_MAX

struct slot {
	struct open_file file; /* first: file_put() finds the slot by it */
	_Atomic uint64_t state;
	uint32_t next_free;
	uint32_t
		first; /* generation: those before were given to sessions that have ended, or by an earlier daemon */
};

struct file_table {
	unsigned max;
	uint32_t first_generation;
	atomic_uint count;
	pthread_mutex_t lock; /* guards free, fresh and the slots' next_free and first */
	uint32_t free;	      /* head of the list of slots that were used before */
	uint32_t fresh;	      /* slots from here on were never used */
	struct slot *slots;
};

static uint64_t state_make(uint32_t generation, uint64_t rest)
{
	return (uint64_t)generation << 32 | rest;
}

static uint32_t state_generation(uint64_t state)
{
	return (uint32_t)(state >> 32);
}

/* 0 is left out: an fh of all zeros opens nothing. */
static uint32_t generation_next(uint32_t generation)
{
	return generation == UINT32_MAX ? 1 : generation + 1;
}

int file_table_new(unsigned max, struct file_table **out)
{
	struct file_table *table;

	if (max == 0 || max >= NO_SLOT)
		return -EINVAL;
	table = calloc(1, sizeof(*table));
	if (!table)
		return -ENOMEM;
	/* Untouched pages of it cost nothing. */
	table->slots = calloc(max, sizeof(*table->slots));
	if (!table->slots) {
		free(table);
		return -ENOMEM;
	}
	/* Not a secret: a guest may know all its fhs. Without randomness it starts at 1. */
	if (getrandom(&table->first_generation, sizeof(table->first_generation), GRND_NONBLOCK) !=
		    (ssize_t)sizeof(table->first_generation) ||
	    table->first_generation == 0)
		table->first_generation = 1;
	table->max = max;
	table->free = NO_SLOT;
	pthread_mutex_init(&table->lock, NULL);
	*out = table;
	return 0;
}

void file_table_free(struct file_table *table)
{
	if (!table)
		return;
	assert(atomic_load(&table->count) == 0);
	pthread_mutex_destroy(&table->lock);
	free(table->slots);
	free(table);
}

unsigned file_table_count(const struct file_table *table)
{
	return atomic_load_explicit(&table->count, memory_order_relaxed);
}

bool file_table_full(const struct file_table *table)
{
	return file_table_count(table) >= table->max;
}

bool file_table_gave(struct file_table *table, uint64_t fh)
{
	const uint32_t index = (uint32_t)fh;
	const uint32_t generation = (uint32_t)(fh >> 32);
	uint32_t first = 0;
	bool used;
	uint32_t now;

	pthread_mutex_lock(&table->lock);
	used = index < table->fresh;
	if (used)
		first = table->slots[index].first;
	pthread_mutex_unlock(&table->lock);
	if (!used)
		return false;
	now = state_generation(atomic_load(&table->slots[index].state));
	/* They go round. */
	return (int32_t)(generation - first) >= 0 && (int32_t)(now - generation) >= 0;
}

/* A free slot; one used before is preferred, its memory is there already. */
static uint32_t slot_take(struct file_table *table)
{
	uint32_t index;

	pthread_mutex_lock(&table->lock);
	index = table->free;
	if (index != NO_SLOT) {
		table->free = table->slots[index].next_free;
	} else if (table->fresh < table->max) {
		index = table->fresh++;
		table->slots[index].first = table->first_generation;
		atomic_store(&table->slots[index].state, state_make(table->first_generation, 0));
	}
	if (index != NO_SLOT)
		atomic_fetch_add(&table->count, 1);
	pthread_mutex_unlock(&table->lock);
	return index;
}

static void slot_give_back(struct file_table *table, uint32_t index)
{
	pthread_mutex_lock(&table->lock);
	table->slots[index].next_free = table->free;
	table->free = index;
	atomic_fetch_sub(&table->count, 1);
	pthread_mutex_unlock(&table->lock);
}

int file_table_add(struct file_table *table, const struct file_spec *spec, uint64_t *fh)
{
	uint32_t index = slot_take(table);
	uint32_t generation;
	struct slot *slot;

	assert(spec->kind != FILE_ANY);
	if (index == NO_SLOT)
		return -ENFILE;
	slot = &table->slots[index];
	slot->file = (struct open_file){
		.nodeid = spec->nodeid,
		.node = spec->node,
		.fd = spec->fd,
		.flags = spec->flags,
		.kind = spec->kind,
	};
	pthread_mutex_init(&slot->file.position_lock, NULL);
	generation = state_generation(atomic_load(&slot->state));
	atomic_store_explicit(&slot->state, state_make(generation, STATE_OPEN | 1),
			      memory_order_release);
	*fh = (uint64_t)generation << 32 | index;
	return 0;
}

/* Takes a reference if the slot is open in this generation. */
static bool slot_ref(struct slot *slot, uint32_t generation)
{
	uint64_t state = atomic_load_explicit(&slot->state, memory_order_relaxed);

	do {
		if (state_generation(state) != generation || !(state & STATE_OPEN) ||
		    (state & STATE_REFS) == STATE_REFS)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&slot->state, &state, state + 1,
							memory_order_acquire,
							memory_order_relaxed));
	return true;
}

static void slot_unref(struct worker *w, struct file_table *table, struct slot *slot)
{
	uint64_t state = atomic_fetch_sub_explicit(&slot->state, 1, memory_order_acq_rel) - 1;

	if (state & (STATE_OPEN | STATE_REFS))
		return;
	fd_close(slot->file.fd);
	if (slot->file.node)
		node_put(w, slot->file.node);
	pthread_mutex_destroy(&slot->file.position_lock);
	free(slot->file.ahead);
	atomic_store_explicit(&slot->state, state_make(generation_next(state_generation(state)), 0),
			      memory_order_release);
	slot_give_back(table, (uint32_t)(slot - table->slots));
}

bool file_table_has(struct file_table *table, uint64_t fh)
{
	const uint32_t index = (uint32_t)fh;
	uint64_t state;

	if (index >= table->max)
		return false;
	state = atomic_load(&table->slots[index].state);
	return state & STATE_OPEN && state_generation(state) == (uint32_t)(fh >> 32);
}

int file_get(struct worker *w, struct file_table *table, uint64_t fh, nodeid_t nodeid,
	     enum file_kind kind, struct open_file **out)
{
	uint32_t index = (uint32_t)fh;
	struct slot *slot;

	if (index >= table->max)
		return -EBADF;
	slot = &table->slots[index];
	if (!slot_ref(slot, (uint32_t)(fh >> 32)))
		return -EBADF;
	if (!nodeid_equal(slot->file.nodeid, nodeid) ||
	    (kind != FILE_ANY && kind != slot->file.kind)) {
		slot_unref(w, table, slot);
		return -EBADF;
	}
	*out = &slot->file;
	return 0;
}

void file_put(struct worker *w, struct file_table *table, struct open_file *file)
{
	if (file)
		slot_unref(w, table, (struct slot *)file);
}

/* Closes the slot if it is open; false if somebody else did. The caller holds a reference. */
static bool slot_close(struct worker *w, struct file_table *table, struct slot *slot)
{
	uint64_t before = atomic_fetch_and(&slot->state, ~STATE_OPEN);

	if (!(before & STATE_OPEN))
		return false;
	slot_unref(w, table, slot); /* what being open counted for */
	return true;
}

int file_release(struct worker *w, struct file_table *table, uint64_t fh, nodeid_t nodeid,
		 enum file_kind kind)
{
	struct open_file *file;
	bool closed;
	int error = file_get(w, table, fh, nodeid, kind, &file);

	if (error)
		return error;
	closed = slot_close(w, table, (struct slot *)file);
	file_put(w, table, file);
	return closed ? 0 : -EBADF;
}

void file_table_clear(struct worker *w, struct file_table *table)
{
	uint32_t fresh;

	pthread_mutex_lock(&table->lock);
	fresh = table->fresh;
	pthread_mutex_unlock(&table->lock);
	for (uint32_t i = 0; i < fresh; i++) {
		struct slot *slot = &table->slots[i];
		const uint64_t state = atomic_load(&slot->state);
		const uint32_t generation = state_generation(state);

		/* One that is free was not given out in its generation yet. */
		pthread_mutex_lock(&table->lock);
		slot->first = state & (STATE_OPEN | STATE_REFS) ? generation_next(generation)
								: generation;
		pthread_mutex_unlock(&table->lock);
		if (slot_ref(slot, generation)) {
			slot_close(w, table, slot);
			slot_unref(w, table, slot);
		}
	}
}
