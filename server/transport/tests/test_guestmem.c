/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_guestmem.c - tables of guest memory, and addresses in them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "driver.h"

#define PAGE 4096ULL
#define PAGES 64

/* A memfd whose every page says which it is. */
static int numbered_file(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint64_t page[PAGE / sizeof(uint64_t)];

	assert_true(fd >= 0);
	for (unsigned i = 0; i < PAGES; i++) {
		for (unsigned k = 0; k < ARRAY_LEN(page); k++)
			page[k] = (uint64_t)i << 32 | k;
		assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	}
	return fd;
}

static struct guestmem_region region(uint64_t guest, uint64_t size, uint64_t frontend,
				     uint64_t offset)
{
	return (struct guestmem_region){
		.guest.v = guest, .size = size, .frontend.v = frontend, .offset = offset
	};
}

static int try_add(struct guestmem **m, int fd, struct guestmem_region r)
{
	struct guestmem *more;
	int ret = guestmem_add(*m, &r, fd, &more);

	if (ret)
		return ret;
	guestmem_unref(*m);
	*m = more;
	return 0;
}

static void add(struct guestmem **m, int fd, uint64_t guest, uint64_t size, uint64_t frontend,
		uint64_t offset)
{
	assert_int_equal(try_add(m, fd, region(guest, size, frontend, offset)), 0);
}

static struct guestmem *empty(void)
{
	struct guestmem *m;

	driver_guard();
	assert_int_equal(guestmem_new(&m), 0);
	return m;
}

static int translate(const struct guestmem *m, uint64_t addr, uint64_t len, struct iovec *iov,
		     unsigned max)
{
	return guestmem_translate(m, (guest_addr_t){ addr }, len, iov, max);
}

/* The page that an address of the guest is in, by what is read there; it must be translated. */
static uint64_t page_of(const struct guestmem *m, uint64_t guest)
{
	struct iovec iov;
	uint64_t v;

	assert_int_equal(translate(m, guest, sizeof(v), &iov, 1), 1);
	memcpy(&v, iov.iov_base, sizeof(v));
	return v >> 32;
}

static bool is_mapped(void *at)
{
	unsigned char vec;

	return mincore((void *)((uintptr_t)at & ~(PAGE - 1)), PAGE, &vec) == 0;
}

/* --- what makes a region --- */

static void test_regions_that_make_no_sense_are_refused(void **state)
{
	const uint64_t all = PAGES * PAGE;
	const struct guestmem_region wrong[] = {
		region(0x100000, 0, 0x500000, 0),
		region(UINT64_MAX - PAGE + 2, PAGE, 0x500000, 0), /* wraps around */
		region(0x100000, PAGE, UINT64_MAX - PAGE + 2, 0),
		region(0x100000, PAGE, 0x500000, UINT64_MAX - PAGE + 2),
		region(0x100000, all + 1, 0x500000, 0), /* longer than the file */
		region(0x100000, PAGE, 0x500000, all - PAGE + 1),
		region(0x100000, 1, 0x500000, all),
		region(0x100000, PAGE, 0x500000, 1ULL << 63),
		region(0x100000, UINT64_MAX, 0x500000, 0),
		/* Overlaps what is there: 4 pages at 0x10000 and 0x900000. */
		region(0x10000, 4 * PAGE, 0x500000, 0),
		region(0xffff, 2, 0x500000, 0),
		region(0x10000 + 4 * PAGE - 1, 1, 0x500000, 0),
		region(0x8000, 32 * PAGE, 0x500000, 0),
		region(0x11000, 1, 0x500000, 0),
		region(0x100000, 2, 0x8fffff, 0),
		region(0x100000, 1, 0x900000 + 4 * PAGE - 1, 0),
	};
	struct guestmem *m = empty();
	int fd = numbered_file();

	(void)state;
	add(&m, fd, 0x10000, 4 * PAGE, 0x900000, 0);
	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(try_add(&m, fd, wrong[i]), -EINVAL);
	assert_int_equal(guestmem_count(m), 1);
	/* Right beside it, in all directions, and up to the end of file and addresses. */
	add(&m, fd, 0xf000, PAGE, 0x8ff000, 0);
	add(&m, fd, 0x14000, PAGE, 0x904000, all - PAGE);
	add(&m, fd, UINT64_MAX - PAGE + 1, PAGE, UINT64_MAX - PAGE + 1, 0);
	assert_int_equal(guestmem_count(m), 4);
	guestmem_unref(m);
	close(fd);
}

static void test_only_files_that_can_be_written_are_memory(void **state)
{
	struct guestmem *m = empty();
	struct guestmem_region r = region(0, PAGE, 0, 0);
	int sealed = numbered_file();
	int ends[2];
	int fd;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(try_add(&m, ends[0], r), -EINVAL);
	close(ends[0]);
	close(ends[1]);
	fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	assert_int_equal(try_add(&m, fd, r), -EINVAL);
	close(fd);
	fd = open("/", O_RDONLY | O_CLOEXEC);
	assert_int_equal(try_add(&m, fd, r), -EINVAL);
	close(fd);
	assert_int_equal(try_add(&m, -1, r), -EBADF);
	assert_int_equal(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(try_add(&m, sealed, r), -EPERM);
	close(sealed);
	assert_int_equal(guestmem_count(m), 0);
	guestmem_unref(m);
}

static void test_an_offset_need_not_be_aligned(void **state)
{
	struct guestmem *m = empty();
	int fd = numbered_file();
	struct iovec iov;
	uint32_t v;

	(void)state;
	add(&m, fd, 0x10000, PAGE, 0x10000, 3 * PAGE + 8);
	assert_int_equal(translate(m, 0x10000, PAGE, &iov, 1), 1);
	memcpy(&v, iov.iov_base, sizeof(v));
	assert_int_equal(v, 1); /* the second number of that page */
	assert_int_equal(page_of(m, 0x10000), 3);
	assert_int_equal(page_of(m, 0x10000 + PAGE - 8), 4);
	guestmem_unref(m);
	close(fd);
}

static void test_there_are_as_many_regions_as_we_say(void **state)
{
	struct guestmem *m = empty();
	int fd = numbered_file();

	(void)state;
	/* From the top down, so that each is put in front. */
	for (unsigned i = GUESTMEM_REGIONS_MAX; i > 0; i--)
		add(&m, fd, i * 0x10000ULL, PAGE, i * PAGE, i % PAGES * PAGE);
	assert_int_equal(try_add(&m, fd, region(0, PAGE, 0, 0)), -EINVAL);
	for (unsigned i = 1; i <= GUESTMEM_REGIONS_MAX; i++) {
		frontend_addr_t frontend = { i * PAGE };
		struct iovec iov;

		assert_int_equal(page_of(m, i * 0x10000ULL + 100 * 8), i % PAGES);
		assert_int_equal(translate(m, i * 0x10000ULL, 1, &iov, 1), 1);
		assert_ptr_equal(guestmem_ring(m, frontend, PAGE, 16), iov.iov_base);
	}
	guestmem_unref(m);
	close(fd);
}

static void test_a_region_is_removed_by_all_that_it_is(void **state)
{
	struct guestmem *m = empty();
	struct guestmem *less = NULL;
	int fd = numbered_file();
	struct guestmem_region is = region(0x20000, PAGE, 0x7000, PAGE);
	struct guestmem_region not ;
	struct iovec iov;

	(void)state;
	add(&m, fd, 0x10000, PAGE, 0x1000, 0);
	add(&m, fd, 0x20000, PAGE, 0x7000, PAGE);
	add(&m, fd, 0x30000, PAGE, 0x9000, 2 * PAGE);
	not = is;
	not .guest.v += PAGE;
	assert_int_equal(guestmem_remove(m, &not, &less), -ENOENT);
	not = is;
	not .size--;
	assert_int_equal(guestmem_remove(m, &not, &less), -ENOENT);
	not = is;
	not .frontend.v++;
	assert_int_equal(guestmem_remove(m, &not, &less), -ENOENT);
	is.offset = 0; /* says nothing: QEMU sends 0 */
	assert_int_equal(guestmem_remove(m, &is, &less), 0);
	assert_int_equal(guestmem_count(less), 2);
	assert_int_equal(translate(less, 0x20000, 1, &iov, 1), -EFAULT);
	assert_int_equal(page_of(less, 0x10000), 0);
	assert_int_equal(page_of(less, 0x30000), 2);
	assert_int_equal(page_of(m, 0x20000), 1); /* the old table is as it was */
	guestmem_unref(m);
	guestmem_unref(less);
	close(fd);
}

static void test_a_mapping_lives_as_long_as_a_table_has_it(void **state)
{
	struct guestmem *one = empty();
	struct guestmem *two = NULL;
	int fd = numbered_file();
	struct guestmem_region second = region(0x20000, PAGE, 0x7000, PAGE);
	struct iovec iov;
	struct iovec again;

	(void)state;
	add(&one, fd, 0x10000, PAGE, 0x1000, 0);
	assert_int_equal(guestmem_add(one, &second, fd, &two), 0);
	close(fd); /* not needed any more */
	assert_int_equal(translate(one, 0x10000, PAGE, &iov, 1), 1);
	assert_int_equal(translate(two, 0x10000, PAGE, &again, 1), 1);
	assert_ptr_equal(iov.iov_base, again.iov_base);
	guestmem_unref(one);
	assert_true(is_mapped(iov.iov_base));
	guestmem_unref(guestmem_ref(two));
	assert_true(is_mapped(iov.iov_base));
	guestmem_unref(two);
	assert_false(is_mapped(iov.iov_base));
	guestmem_unref(NULL);
}

/* --- addresses --- */

static void test_addresses_are_translated_within_the_memory_alone(void **state)
{
	static const struct {
		uint64_t addr, len;
		unsigned max;
		int result;
	} rows[] = {
		{ 0x10000, 0, 1, 0 },
		{ 0x99999999, 0, 0, 0 },
		{ 0x10000, 1, 0, -E2BIG },
		{ 0x10000, 2 * PAGE, 1, 1 },
		{ 0x10000, 2 * PAGE + 1, 1, -E2BIG },
		{ 0x10000, 2 * PAGE + 1, 2, 2 },
		{ 0x10000, 5 * PAGE, 3, 3 },
		{ 0x10000, 5 * PAGE + 1, 3, -EFAULT },
		{ 0x10000, UINT64_MAX, 3, -EFAULT },
		{ 0xffff, 1, 1, -EFAULT },
		{ 0xffff, 2, 1, -EFAULT },
		{ 0x15000, 1, 1, -EFAULT },
		{ 0x14fff, 1, 1, 1 },
		{ 0, 1, 1, 1 },
		{ PAGE, 1, 1, -EFAULT },
		{ UINT64_MAX, 1, 1, 1 },
		{ UINT64_MAX, 2, 2, -EFAULT },
		{ UINT64_MAX - PAGE + 1, PAGE, 1, 1 },
		{ UINT64_MAX - PAGE + 1, PAGE + 1, 2, -EFAULT },
		{ UINT64_MAX - PAGE, 2, 2, -EFAULT },
	};
	struct guestmem *m = empty();
	int fd = numbered_file();
	struct iovec iov[4];

	(void)state;
	add(&m, fd, 0x14000, PAGE, 0x700000, 0);
	add(&m, fd, UINT64_MAX - PAGE + 1, PAGE, 0x100000, PAGE);
	add(&m, fd, 0, PAGE, 0x200000, PAGE);
	add(&m, fd, 0x10000, 2 * PAGE, 0x900000, 8 * PAGE);
	add(&m, fd, 0x12000, 2 * PAGE, 0x800000, 20 * PAGE);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(translate(m, rows[i].addr, rows[i].len, iov, rows[i].max),
				 rows[i].result);
	assert_int_equal(translate(m, 0x11000, 3 * PAGE + 1, iov, 4), 3);
	assert_int_equal(iov[0].iov_len, PAGE);
	assert_int_equal(iov[1].iov_len, 2 * PAGE);
	assert_int_equal(iov[2].iov_len, 1);
	assert_int_equal(*(uint64_t *)iov[0].iov_base >> 32, 9);
	assert_int_equal(*(uint64_t *)iov[1].iov_base >> 32, 20);
	assert_int_equal(*(uint64_t *)iov[2].iov_base >> 32, 0);
	guestmem_unref(m);
	close(fd);
}

static uint64_t below(unsigned *seed, uint64_t n)
{
	return (unsigned)rand_r(seed) % n;
}

/* A page here and there, in an order of its own; each byte as a table of pages has it. */
static void test_addresses_at_random_are_what_a_model_says(void **state)
{
	const char *given = getenv("HOLDFAST_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)clock_ns();
	int file_page[PAGES]; /* by page of the guest; -1: none */
	struct guestmem *m = empty();
	int fd = numbered_file();

	(void)state;
	print_message("seed %u\n", seed);
	memset(file_page, -1, sizeof(file_page));
	for (unsigned i = 0; i < 30; i++) {
		uint64_t at = below(&seed, PAGES - 3);
		uint64_t count = 1 + below(&seed, 3);
		uint64_t from = below(&seed, PAGES - 3);

		if (try_add(&m, fd,
			    region(at * PAGE, count * PAGE, 0x100000 * (i + 1), from * PAGE)))
			continue;
		for (unsigned k = 0; k < count; k++) {
			assert_int_equal(file_page[at + k], -1);
			file_page[at + k] = (int)(from + k);
		}
	}
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t addr = below(&seed, PAGES * PAGE) & ~7ULL;
		uint64_t len = 8 + (below(&seed, 4 * PAGE) & ~7ULL);
		struct iovec iov[8];
		int n = translate(m, addr, len, iov, ARRAY_LEN(iov));
		bool inside = true;

		for (uint64_t p = addr / PAGE; p <= (addr + len - 1) / PAGE; p++)
			inside = inside && p < PAGES && file_page[p] >= 0;
		if (!inside) {
			assert_int_equal(n, -EFAULT);
			continue;
		}
		assert_true(n > 0);
		for (int k = 0; k < n; k++)
			for (uint64_t at = 0; at < iov[k].iov_len; at += 8, addr += 8, len -= 8) {
				uint64_t v = *(uint64_t *)(void *)((char *)iov[k].iov_base + at);

				assert_int_equal(v >> 32, file_page[addr / PAGE]);
				assert_int_equal((uint32_t)v, addr % PAGE / 8);
			}
		assert_int_equal(len, 0);
	}
	guestmem_unref(m);
	close(fd);
}

static void test_a_ring_part_is_aligned_and_in_one_region(void **state)
{
	struct guestmem *m = empty();
	int fd = numbered_file();
	const uint64_t at = 0x7000000;
	uint8_t *first;

	(void)state;
	add(&m, fd, 0x10000, 2 * PAGE, at, 0);
	add(&m, fd, 0x80000, 2 * PAGE, at + 2 * PAGE, 4 * PAGE);
#define PART(a, len, align) ((uint8_t *)guestmem_ring(m, (frontend_addr_t){ a }, len, align))
	first = PART(at, 2 * PAGE, 16);
	assert_non_null(first);
	assert_int_equal(*(uint64_t *)(void *)PART(at + PAGE, 8, 16) >> 32, 1);
	assert_ptr_equal(PART(at + 4, 8, 4), first + 4);
	assert_null(PART(at + 4, 8, 16));
	assert_null(PART(at + 1, 8, 2));
	assert_null(PART(at + 2 * PAGE - 16, 32, 16));
	assert_non_null(PART(at + 2 * PAGE, 32, 16));
	assert_null(PART(at - 16, 16, 16));
	assert_null(PART(at + 4 * PAGE, 16, 16));
	assert_null(PART(at, UINT64_MAX, 16));
	assert_null(PART(0x10000, 16, 16)); /* a guest-physical address */
	assert_null(PART(UINT64_MAX - 15, 32, 16));
#undef PART
	guestmem_unref(m);
	close(fd);
}

static void test_memory_that_goes_away_is_zeros_and_marked(void **state)
{
	struct guestmem *m = empty();
	int fd = numbered_file();
	int other = numbered_file();
	struct iovec iov;
	volatile uint64_t *p;

	(void)state;
	add(&m, other, 0x10000, PAGE, 0x10000, 0);
	add(&m, fd, 0x80000, PAGES * PAGE, 0x80000, 0);
	assert_int_equal(guestmem_init(), 0); /* once more: nothing */
	assert_int_equal(translate(m, 0x80000, PAGES * PAGE, &iov, 1), 1);
	p = iov.iov_base;
	assert_int_equal(ftruncate(fd, 8 * PAGE), 0);
	assert_int_equal(p[7 * PAGE / 8] >> 32, 7);
	assert_false(guestmem_lost(m));
	assert_int_equal(p[9 * PAGE / 8], 0);
	assert_true(guestmem_lost(m));
	/* All of it, the pages that were there too; writes go nowhere. */
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(p[i * PAGE / 8], 0);
	p[0] = 1;
	assert_int_equal(page_of(m, 0x10000 + PAGE - 8), 0);
	guestmem_unref(m);
	close(fd);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regions_that_make_no_sense_are_refused),
		cmocka_unit_test(test_only_files_that_can_be_written_are_memory),
		cmocka_unit_test(test_an_offset_need_not_be_aligned),
		cmocka_unit_test(test_there_are_as_many_regions_as_we_say),
		cmocka_unit_test(test_a_region_is_removed_by_all_that_it_is),
		cmocka_unit_test(test_a_mapping_lives_as_long_as_a_table_has_it),
		cmocka_unit_test(test_addresses_are_translated_within_the_memory_alone),
		cmocka_unit_test(test_addresses_at_random_are_what_a_model_says),
		cmocka_unit_test(test_a_ring_part_is_aligned_and_in_one_region),
		cmocka_unit_test(test_memory_that_goes_away_is_zeros_and_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
