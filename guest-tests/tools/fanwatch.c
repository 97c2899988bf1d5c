/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fanwatch FILE DIR... - writes down what fanotify reports on these directories and their entries, until SIGTERM.
 *
 * Groups with FAN_REPORT_DFID_NAME_TARGET, inode marks. One line for each object that an event names, with tabs:
 *   handle of the object | handle of the directory | name in it
 * Handles are as in handle.h; "-" stands for one that the event has not. "ready" is a line of FILE once the marks are set.
 */
#include <signal.h>
#include <sys/fanotify.h>

#include "handle.h"

#define EVENTS                                                                                     \
	(FAN_CREATE | FAN_MOVED_TO | FAN_MODIFY | FAN_CLOSE_WRITE | FAN_ATTRIB | FAN_ONDIR |       \
	 FAN_EVENT_ON_CHILD)

static volatile sig_atomic_t over;

static void end(int signal)
{
	(void)signal;
	over = 1;
}

/* One information record's handle, and the name behind it, into text. */
static void record_print(FILE *out, const struct fanotify_event_info_header *record)
{
	const struct fanotify_event_info_fid *fid = (const void *)record;
	struct object o = { 0 };
	struct file_handle head;

	memcpy(&head, fid->handle, sizeof(head));
	if (head.handle_bytes > MAX_HANDLE_SZ)
		errx(1, "fanwatch: a handle of %u bytes", head.handle_bytes);
	memcpy(&o.handle.fh, fid->handle, sizeof(head) + head.handle_bytes);
	handle_print(out, &o);
	if (record->info_type == FAN_EVENT_INFO_TYPE_DFID_NAME)
		fprintf(out, "\t%s", (const char *)fid->handle + sizeof(head) + head.handle_bytes);
}

static void event_print(FILE *out, const struct fanotify_event_metadata *event)
{
	const struct fanotify_event_info_header *object = NULL;
	const struct fanotify_event_info_header *place = NULL;
	const char *p = (const char *)event + event->metadata_len;
	const char *last = (const char *)event + event->event_len;

	if (event->vers != FANOTIFY_METADATA_VERSION || event->mask & FAN_Q_OVERFLOW)
		errx(1, "fanwatch: event of version %d, mask %llx", event->vers,
		     (unsigned long long)event->mask);
	while (p < last) {
		const struct fanotify_event_info_header *record = (const void *)p;

		if (record->info_type == FAN_EVENT_INFO_TYPE_FID)
			object = record;
		else if (record->info_type == FAN_EVENT_INFO_TYPE_DFID_NAME)
			place = record;
		p += record->len;
	}
	if (!place)
		return; /* an event on the directory itself */
	if (object)
		record_print(out, object);
	else
		fputc('-', out);
	fputc('\t', out);
	record_print(out, place);
	fputc('\n', out);
}

int main(int argc, char **argv)
{
	static _Alignas(struct fanotify_event_metadata) char buf[65536];
	struct sigaction act = { .sa_handler = end };
	FILE *out;
	int group;

	if (argc < 3)
		errx(2, "fanwatch FILE DIR...");
	sigaction(SIGTERM, &act, NULL);
	out = fopen(argv[1], "we");
	group = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_REPORT_DFID_NAME_TARGET,
			      O_RDONLY);
	if (!out || group < 0)
		err(1, "fanwatch: %s", out ? "fanotify_init" : argv[1]);
	for (int i = 2; i < argc; i++)
		if (fanotify_mark(group, FAN_MARK_ADD, EVENTS, AT_FDCWD, argv[i]))
			err(1, "fanwatch: mark %s", argv[i]);
	fputs("ready\n", out);
	fflush(out);
	while (!over) {
		ssize_t n = read(group, buf, sizeof(buf));
		const struct fanotify_event_metadata *event = (const void *)buf;

		if (n < 0 && errno != EINTR)
			err(1, "fanwatch: read");
		for (; n > 0 && FAN_EVENT_OK(event, n); event = FAN_EVENT_NEXT(event, n))
			event_print(out, event);
		fflush(out);
	}
	return 0;
}
