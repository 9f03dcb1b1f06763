/* SPDX-License-Identifier: MIT */
/* Linked before the C library: programs whose syncs are compiled out, which the rig must find losing. */
#include <unistd.h>

int fsync(int fd)
{
	return fd < 0;
}

int fdatasync(int fd)
{
	return fd < 0;
}

int syncfs(int fd)
{
	return fd < 0;
}

void sync(void)
{
}
