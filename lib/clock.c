/* SPDX-License-Identifier: MIT */
/* state/clock: a decimal number. What the file holds is believed only as far as it is a plausible time. */
#include "clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "file.h"

int64_t clock_saved(int dir)
{
	int fd = file_open_beneath(dir, CLOCK_FILE, O_RDONLY | O_NONBLOCK, 0);
	char text[24] = "";
	const char *end = text;
	long long t = 0;
	ssize_t n;

	if (fd < 0)
		return 0;
	n = file_read_full(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	while (*end >= '0' && *end <= '9' && t < INT64_MAX / 20)
		t = t * 10 + *end++ - '0';
	return *end == '\n' && !end[1] && t >= CONFIG_BUILD_STAMP && t < CONFIG_BUILD_STAMP + CLOCK_LIFE_S ? t : 0;
}

int clock_save(int dir, struct err *e)
{
	struct timespec now;
	char text[24];

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec <= clock_saved(dir))
		return 0;
	snprintf(text, sizeof(text), "%lld\n", (long long)now.tv_sec);
	return file_replace(dir, CLOCK_FILE, span_str(text), 0644, e);
}
