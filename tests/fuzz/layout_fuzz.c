/* SPDX-License-Identifier: MIT */
/* Any bytes as an oci-archive: fetch/layout.c, included for its statics, answers three questions about it. */
#define file_write_all swallow
#include "layout.c"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int swallow(int fd, const void *at, size_t len)
{
	(void)fd, (void)at;
	if (len > NET_DATA_MAX)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[] = { "/v2/layout/manifests/1", "/v2/layout/manifests/", "/v2/layout/referrers/sha256:"
		"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "/v2/layout/blobs/sha256:"
		"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "/v2/x", "" };
	static struct net_request q;
	static struct layout l;

	memset(&l, 0, sizeof(l));
	l.fd = memfd_create("archive", MFD_CLOEXEC);
	l.is_archive = true;
	if (l.fd < 0 || pwrite(l.fd, data, size, 0) != (ssize_t)size)
		abort();
	if (scan(&l, size) < 0)
		l.count = 0;
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		snprintf(q.path, sizeof(q.path), "%s", paths[i]);
		q.offset = size % 3;
		answer(&l, &q);
	}
	close(l.fd);
	return 0;
}
