/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_forge.c - nodeids that nobody gave out, by the hundred thousand: none opens anything, and the real ones open what they did.
 *
 * What a guest presents as a handle arrives as LOOKUP "." on the handle's nodeid; the generation is compared by the guest's
 * kernel with the reply's, so a hostile kernel leaves that out, as this does. FORGE_COUNT says how many.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "rig.h"

#define FILES 1000
#define DIRS 10

static struct real {
	uint64_t nodeid, generation, ino;
} reals[FILES + DIRS];
static uint64_t state = 88172645463325252ULL;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t any_real(void)
{
	return reals[draw() % ARRAY_LEN(reals)].nodeid;
}

/* --- ways to make one up --------------------------------------------------------------------------------------- */

static uint64_t by_chance(void)
{
	return draw();
}

static uint64_t bit_turned(void)
{
	return any_real() ^ 1ULL << draw() % 64;
}

static uint64_t bits_turned(void)
{
	return any_real() ^ 1ULL << draw() % 64 ^ 1ULL << draw() % 64;
}

static uint64_t neighbour(void)
{
	return any_real() + draw() % 2001 - 1000;
}

static uint64_t two_halves(void)
{
	return (any_real() & UINT32_MAX) | (any_real() & ~(uint64_t)UINT32_MAX);
}

/* As servers number what they meet. */
static uint64_t small(void)
{
	return 2 + draw() % 1000000;
}

/* The host's own number of the object, which is no secret. */
static uint64_t inode_number(void)
{
	return reals[draw() % ARRAY_LEN(reals)].ino;
}

static const struct {
	const char *name;
	uint64_t (*make)(void);
} ways[] = {
	{ "by chance", by_chance },	    { "one bit turned", bit_turned },
	{ "two bits turned", bits_turned }, { "neighbours", neighbour },
	{ "two halves", two_halves },	    { "small numbers", small },
	{ "inode numbers", inode_number },
};

static bool is_real(uint64_t nodeid)
{
	for (size_t i = 0; i < ARRAY_LEN(reals); i++)
		if (reals[i].nodeid == nodeid)
			return true;
	return nodeid == ROOT;
}

/* --- the test ---------------------------------------------------------------------------------------------------- */

static void look_up(struct rig *rig, uint64_t parent, const char *name, struct real *out)
{
	struct fuse_entry_out entry;

	CHECK_OK(fecall_lookup(&rig->f, parent, name, &entry));
	*out = (struct real){ .nodeid = entry.nodeid,
			      .generation = entry.generation,
			      .ino = entry.attr.ino };
}

static void look_all_up(struct rig *rig)
{
	char name[32];

	for (unsigned i = 0; i < DIRS; i++) {
		(void)snprintf(name, sizeof(name), "d%u", i);
		look_up(rig, ROOT, name, &reals[FILES + i]);
	}
	for (unsigned i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		look_up(rig, reals[FILES + i % DIRS].nodeid, name, &reals[i]);
	}
}

static void reals_open(struct rig *rig)
{
	for (size_t i = 0; i < ARRAY_LEN(reals); i++) {
		struct real got;

		look_up(rig, reals[i].nodeid, ".", &got);
		CHECK_EQ(got.ino, reals[i].ino);
		CHECK_EQ(got.generation, reals[i].generation);
	}
}

static void forge(struct rig *rig, const char *whose, unsigned count)
{
	unsigned tried[ARRAY_LEN(ways)] = { 0 };
	const uint64_t begun = clock_ns();
	struct fuse_entry_out entry;

	for (unsigned i = 0; i < count; i++) {
		const size_t way = i % ARRAY_LEN(ways);
		const uint64_t nodeid = ways[way].make();
		int got;

		/* 0 is no nodeid, and refused as such. */
		if (!nodeid || is_real(nodeid))
			continue;
		got = fecall_lookup(&rig->f, nodeid, ".", &entry);
		if (got != -ESTALE)
			rig_fail(__FILE__, __LINE__, "%016llx (%s) is not stale: %d, inode %llu",
				 (unsigned long long)nodeid, ways[way].name, got,
				 got ? 0ULL : (unsigned long long)entry.attr.ino);
		tried[way]++;
	}
	printf("%s: ", whose);
	for (size_t i = 0; i < ARRAY_LEN(ways); i++)
		printf("%u %s%s", tried[i], ways[i].name, i + 1 < ARRAY_LEN(ways) ? ", " : "");
	printf(": ESTALE, each in %.1f us\n",
	       (double)(clock_ns() - begun) / 1000 / (count ? count : 1));
	reals_open(rig);
}

static void test_guesses(struct rig *rig)
{
	const char *value = getenv("FORGE_COUNT");
	const unsigned count = value ? (unsigned)strtoul(value, NULL, 10) : 0;

	CHECK(count >= ARRAY_LEN(ways));
	rig_tree(rig, DIRS, FILES);
	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
	look_all_up(rig);
	forge(rig, "the daemon that gave the real ones out", count / 2);
	rig_disconnect(rig);
	CHECK_OK(rig_wait(rig));
	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
	forge(rig, "another daemon", count / 2);
	rig_disconnect(rig);
	CHECK_OK(rig_wait(rig));
}

static const struct rig_test tests[] = {
	{ "guesses", test_guesses },
};

int main(int argc, char **argv)
{
	return rig_main(argc, argv, tests, ARRAY_LEN(tests));
}
