/* SPDX-License-Identifier: MIT */
/* The one entropy source of mbedTLS here: getrandom(2), which needs no /dev in a jail. (Its own code uses that call under glibc only.) */
#include <errno.h>
#include <stddef.h>
#include <sys/random.h>

int mbedtls_hardware_poll(void *data, unsigned char *out, size_t len, size_t *got)
{
	ssize_t n;

	(void)data;
	do {
		n = getrandom(out, len, 0);
	} while (n < 0 && errno == EINTR);
	*got = n < 0 ? 0 : (size_t)n;
	return n < 0 ? -0x003C : 0;	/* MBEDTLS_ERR_ENTROPY_SOURCE_FAILED */
}
