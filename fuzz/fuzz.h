/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz.h - what the fuzz targets have in common. Each fuzz_*.c has one function that takes bytes as an enemy would
 * give them; libFuzzer calls it (make fuzz), or replay.c with the committed corpus (make test).
 */
#ifndef HOLDFAST_FUZZ_FUZZ_H
#define HOLDFAST_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0, always; a promise that does not hold is abort(). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process with what should have held, and where. */
#define MUST(condition) ((condition) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_broken(const char *file, int line, const char *what);

/* Bytes to be taken from the front; what is not there is zeros. */
struct fuzz_input {
	const uint8_t *at;
	size_t left;
};
void fuzz_take(struct fuzz_input *in, void *to, size_t len);
uint8_t fuzz_take8(struct fuzz_input *in);
uint16_t fuzz_take16(struct fuzz_input *in);

/* A new directory below /tmp, removed with all in it at the end of the process. */
const char *fuzz_directory(void);
/* Removes what is in it. */
void fuzz_directory_clear(const char *path);

#endif
