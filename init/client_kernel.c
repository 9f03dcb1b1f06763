/* SPDX-License-Identifier: MIT */
/* `log --kernel`: /dev/kmsg, where on a board PID 1's lines stand between the kernel's (Documentation/ABI/testing/dev-kmsg). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "text.h"

/* "6,339,5140900,-;text": level, number, microseconds. Lines that begin with a blank are the kernel's own notes to it. */
static void show(char *record)
{
	char *text = strchr(record, ';'), *comma = strchr(record, ',');
	uint64_t us;

	comma = comma ? strchr(comma + 1, ',') : NULL;
	if (!text || !comma)
		return;
	comma++;
	us = text_number(&comma);
	text++;
	text[strcspn(text, "\n")] = '\0';
	printf("[%5llu.%06u] ", (unsigned long long)us / 1000000, (unsigned)(us % 1000000));
	client_print(text, strlen(text));
	putchar('\n');
}

/* How many records there are; the first is the next again. */
static uint64_t count(int fd)
{
	char record[8192];
	uint64_t n = 0;

	while (read(fd, record, sizeof(record)) > 0 || errno == EPIPE)
		n++;
	lseek(fd, 0, SEEK_SET);
	return n;
}

int client_show_kernel(const struct client_args *a)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t skip = 0;
	char record[8192];

	if (fd < 0) {
		fprintf(stderr, "coracle: log: /dev/kmsg: %s\n", strerror(errno));
		return 1;
	}
	if (a->lines) {
		skip = count(fd);
		skip = skip > a->lines ? skip - a->lines : 0;
	}
	for (;;) {
		ssize_t n = read(fd, record, sizeof(record) - 1);

		if (n > 0 && skip) {
			skip--;
		} else if (n > 0) {
			record[n] = '\0';
			show(record);
		} else if (n < 0 && errno == EPIPE) {
			continue;	/* overwritten meanwhile: on with what is left */
		} else if (n < 0 && errno == EAGAIN && a->follows && !ferror(stdout)) {
			fflush(stdout);
			poll(&p, 1, -1);
		} else {
			break;
		}
	}
	close(fd);
	return 0;
}
