/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shuffle.h - an order in which nothing is asked for that was asked for just before.
 */
#ifndef HOLDFAST_BENCH_SHUFFLE_H
#define HOLDFAST_BENCH_SHUFFLE_H

#include <stddef.h>
#include <stdint.h>

/* `n` elements of `size` bytes in an order of their own, always the same one. */
static inline void shuffle(void *elements, size_t n, size_t size)
{
	uint64_t state = 88172645463325252ULL;

	for (size_t i = n; i-- > 1;) {
		uint8_t *a = (uint8_t *)elements + i * size, *b;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		b = (uint8_t *)elements + (size_t)(state % (i + 1)) * size;
		for (size_t k = 0; k < size; k++) {
			const uint8_t swap = a[k];

			a[k] = b[k];
			b[k] = swap;
		}
	}
}

#endif
