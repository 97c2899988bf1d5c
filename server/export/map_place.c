/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_place.c - the numbers by which rows refer to places, as the writer keeps them in memory.
 *
 * The book holds the whole place table, in order of numbers. It is read anew when another connection
 * has committed since; what a rolled-back transaction added is forgotten with it. Places are as many as
 * the share has file systems and subvolumes. Within map_begin()..map_commit() only.
 */
#include <errno.h>

#include "base/util.h"
#include "export/map_private.h"

#define BOOK_ROOM_FIRST 16

static size_t place_hash(const struct place *place)
{
	uint64_t h = place->attachment * 0x9e3779b97f4a7c15u;

	h = (h ^ get_le64(place->fsid)) * 0xff51afd7ed558ccdu;
	h = (h ^ get_le64(place->subvol)) * 0xff51afd7ed558ccdu;
	return (size_t)(h >> 32) % PLACE_HINTS;
}

static int book_add(struct place_book *book, uint32_t number, const struct place *place)
{
	if (book->count == book->room) {
		size_t room = book->room ? book->room * 2 : BOOK_ROOM_FIRST;
		struct place_entry *more = reallocarray(book->entries, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		book->entries = more;
		book->room = room;
	}
	book->entries[book->count].number = number;
	book->entries[book->count].place = *place;
	book->hints[place_hash(place)] = ++book->count;
	return 0;
}

int place_reload(struct map_writer *w)
{
	sqlite3_stmt *s = w->stmts[W_PLACE_LIST];
	uint8_t sealed[MAP_SEALED_MAX];
	struct place place;
	int err = 0;
	int got;

	w->places.count = 0;
	while (!err && (got = stmt_row(s)) != 0) {
		int64_t number = got > 0 ? sqlite3_column_int64(s, 0) : 0;
		ssize_t n;

		if (got < 0) {
			err = got;
			break;
		}
		n = stmt_blob(s, 1, sealed, sizeof(sealed));
		/* What does not authenticate is no place: its rows do not open either. */
		if (number < 1 || number > UINT32_MAX || n < 0)
			continue;
		err = place_open(w->envelope, (uint32_t)number, sealed, (size_t)n, &place);
		if (err == -EBADMSG)
			err = 0;
		else if (!err)
			err = book_add(&w->places, (uint32_t)number, &place);
	}
	stmt_done(s);
	if (err)
		w->places.count = 0;
	w->places.committed = w->places.count;
	return err;
}

static const struct place_entry *book_find(struct place_book *book, const struct place *place)
{
	size_t *hint = &book->hints[place_hash(place)];

	if (*hint && *hint <= book->count && place_equal(&book->entries[*hint - 1].place, place))
		return &book->entries[*hint - 1];
	for (size_t i = 0; i < book->count; i++) {
		if (place_equal(&book->entries[i].place, place)) {
			*hint = i + 1;
			return &book->entries[i];
		}
	}
	return NULL;
}

const struct place *place_by_number(const struct place_book *book, uint32_t number)
{
	size_t low = 0, high = book->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (book->entries[mid].number == number)
			return &book->entries[mid].place;
		if (book->entries[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

int place_number(struct map_writer *w, const struct place *place, uint32_t *number)
{
	const struct place_entry *known = book_find(&w->places, place);
	uint8_t plain[PLACE_LEN], sealed[ENVELOPE_OVERHEAD + PLACE_LEN];
	int64_t last = 0;
	ssize_t n;
	int err;

	if (known) {
		*number = known->number;
		return 0;
	}
	err = stmt_number(w->stmts[W_PLACE_LAST], &last);
	if (err && err != -ENOENT)
		return err;
	if (last < 0 || last >= UINT32_MAX)
		return -EOVERFLOW;
	*number = (uint32_t)last + 1;

	n = envelope_seal(w->envelope, ENVELOPE_PLACE, *number, plain, place_encode(place, plain),
			  sealed, sizeof(sealed));
	if (n < 0)
		return (int)n;
	err = writer_run(w, W_PLACE_PUT, (rowid_t){ *number }, sealed, (size_t)n);
	return err ? err : book_add(&w->places, *number, place);
}
