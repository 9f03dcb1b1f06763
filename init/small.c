/* SPDX-License-Identifier: MIT */
/*
 * strstr(3), gmtime_r(3), clock_gettime(2), fork(2), setuid(2), setgid(2), setresuid(2), setresgid(2) and setgroups(2) of this program, in
 * place of the C library's: which are made for long texts, for all of time, for the vdso, and for threads, and cost 6 KB. The same results
 * for what is asked here; there are no threads and no handlers around a fork.
 */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* 32-bit ARM keeps the calls with 16-bit ids under the plain names. */
#ifdef SYS_setuid32
enum { SETUID = SYS_setuid32, SETGID = SYS_setgid32, SETGROUPS = SYS_setgroups32, SETRESUID = SYS_setresuid32,
	SETRESGID = SYS_setresgid32 };
#else
enum { SETUID = SYS_setuid, SETGID = SYS_setgid, SETGROUPS = SYS_setgroups, SETRESUID = SYS_setresuid,
	SETRESGID = SYS_setresgid };
#endif

#ifdef SYS_clock_gettime64
enum { CLOCK_GETTIME = SYS_clock_gettime64 };
#else
enum { CLOCK_GETTIME = SYS_clock_gettime };
#endif

/* aarch64 has clone alone, which takes the same as its first argument that fork does not look at. */
#ifdef SYS_fork
enum { FORK = SYS_fork };
#else
enum { FORK = SYS_clone };
#endif

char *strstr(const char *text, const char *what)
{
	size_t len = strlen(what);

	for (; *text || !len; text++)
		if (!strncmp(text, what, len))
			return (char *)text;
	return NULL;
}

/* From 1970 on: days are counted in eras of 400 years that begin in March, so that the leap day is a year's last. */
struct tm *gmtime_r(const time_t *t, struct tm *tm)
{
	long long days = (long long)*t / 86400, era, year, day, month;
	int rest = (int)((long long)*t % 86400);

	if (*t < 0)
		days = rest = 0;
	days += 719468;		/* from 0000-03-01 */
	era = days / 146097;
	day = days % 146097;
	year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	day -= 365 * year + year / 4 - year / 100;
	month = (5 * day + 2) / 153;
	memset(tm, 0, sizeof(*tm));
	tm->tm_mday = (int)(day - (153 * month + 2) / 5 + 1);
	tm->tm_mon = (int)(month < 10 ? month + 2 : month - 10);
	tm->tm_year = (int)(year + era * 400 + (month >= 10) - 1900);
	tm->tm_hour = rest / 3600;
	tm->tm_min = rest / 60 % 60;
	tm->tm_sec = rest % 60;
	tm->tm_wday = (int)((days + 3) % 7);
	return tm;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	long long now[2] = { 0, 0 };	/* the kernel's timespec with 64-bit times, on every architecture */
	int r = (int)syscall(CLOCK_GETTIME, clock, now);

	t->tv_sec = (time_t)now[0];
	t->tv_nsec = (long)now[1];
	return r;
}

pid_t fork(void)
{
	return (pid_t)syscall(FORK, SIGCHLD, 0, 0, 0, 0);
}

int setresuid(uid_t r, uid_t e, uid_t s)
{
	return (int)syscall(SETRESUID, r, e, s);
}

int setresgid(gid_t r, gid_t e, gid_t s)
{
	return (int)syscall(SETRESGID, r, e, s);
}

int setuid(uid_t uid)
{
	return (int)syscall(SETUID, uid);
}

int setgid(gid_t gid)
{
	return (int)syscall(SETGID, gid);
}

int setgroups(size_t count, const gid_t *list)
{
	return (int)syscall(SETGROUPS, count, list);
}
