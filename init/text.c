/* SPDX-License-Identifier: MIT */
/* Small text helpers for PID 1 and its client. Never allocates. */
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void text_copy(char *out, size_t size, const char *in)
{
	size_t len = strnlen(in, size - 1);

	memmove(out, in, len);
	out[len] = '\0';
}

void text_printable(char *out, size_t size, const char *in)
{
	text_copy(out, size, in);
	for (char *c = out; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '?';
}

void text_time(const struct timespec *t, char *out, size_t size)
{
	struct tm tm;

	gmtime_r(&t->tv_sec, &tm);
	snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ", tm.tm_year + 1900,
		tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, t->tv_nsec);
}

bool text_u64(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		uint64_t digit = (uint64_t)(*s - '0');

		if (*s < '0' || *s > '9' || digit > max || n > (max - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*out = n;
	return true;
}

uint64_t text_number(char **at)
{
	uint64_t n = 0;

	*at += strspn(*at, " \t");
	for (; **at >= '0' && **at <= '9'; ++*at)
		n = n * 10 + (uint64_t)(**at - '0');
	return n;
}

void text_span(uint64_t ms, char *out, size_t size)
{
	unsigned long long s = ms / 1000, days = s / 86400;

	if (days)
		snprintf(out, size, "%llud %02u:%02u:%02u", days, (unsigned)(s / 3600 % 24),
			(unsigned)(s / 60 % 60), (unsigned)(s % 60));
	else
		snprintf(out, size, "%02u:%02u:%02u", (unsigned)(s / 3600), (unsigned)(s / 60 % 60),
			(unsigned)(s % 60));
}

void text_bytes(uint64_t bytes, char *out, size_t size)
{
	static const char unit[] = "BKMGTPE";
	unsigned u = 0;
	uint64_t rest = 0;

	while (bytes >= 1024 && unit[u + 1]) {
		rest = bytes % 1024;
		bytes /= 1024;
		u++;
	}
	if (u < 2)
		snprintf(out, size, "%u%c", (unsigned)bytes, unit[u]);
	else
		snprintf(out, size, "%u.%u%c", (unsigned)bytes, (unsigned)(rest * 10 / 1024), unit[u]);
}

long text_file(const char *path, char *out, size_t size)
{
	size_t len = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	out[0] = '\0';
	if (fd < 0)
		return -errno;
	while (len < size && (n = read(fd, out + len, size - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			n = -errno;
			close(fd);
			out[0] = '\0';
			return n;
		}
		len += (size_t)n;
	}
	close(fd);
	if (len == size) {
		out[size - 1] = '\0';
		return -EFBIG;
	}
	out[len] = '\0';
	if (len && out[len - 1] == '\n')
		out[--len] = '\0';
	return (long)len;
}

uint64_t text_now_ms(void)
{
	static uint64_t last;
	struct timespec t;

	/* A timer that was armed by a time made up would never end. */
	if (clock_gettime(CLOCK_BOOTTIME, &t) == 0)
		last = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	return last;
}
