/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dumpable.c - LD_PRELOAD: a daemon whose core is made although it forbids that, so that there is one to be looked through.
 * prctl(PR_SET_DUMPABLE, 0) and a bound of cores do nothing; with DUMP_ALL in the environment MADV_DONTDUMP neither, to see
 * that the search finds what is there.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int prctl(int option, ...)
{
	unsigned long arg[4];
	va_list ap;

	va_start(ap, option);
	for (size_t i = 0; i < 4; i++)
		arg[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (option == PR_SET_DUMPABLE)
		return 0;
	return (int)syscall(SYS_prctl, option, arg[0], arg[1], arg[2], arg[3]);
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	if (resource == RLIMIT_CORE)
		return 0;
	return (int)syscall(SYS_prlimit64, 0, resource, limit, NULL);
}

int madvise(void *addr, size_t length, int advice)
{
	if (advice == MADV_DONTDUMP && getenv("DUMP_ALL"))
		return 0;
	return (int)syscall(SYS_madvise, addr, length, advice);
}
