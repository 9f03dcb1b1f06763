/* SPDX-License-Identifier: MIT */
/* The trusted half of a connection: an address out of the resolver's fixed-size answer, a socket, a deadline. */
#include "dial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"
#include "resolve.h"

static bool is_local_address(const struct sockaddr_in6 *a)
{
	if (a->sin6_family == AF_INET) {
		uint32_t v4 = ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr);

		return v4 >> 24 == 127 || v4 >> 16 == 0xa9fe || v4 == 0;
	}
	return a->sin6_family != AF_INET6 || IN6_IS_ADDR_LOOPBACK(&a->sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&a->sin6_addr) ||
		IN6_IS_ADDR_V4MAPPED(&a->sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&a->sin6_addr);
}

static int try_one(const struct sockaddr_in6 *address, uint32_t len)
{
	struct pollfd p = { .events = POLLOUT };
	int error = 0, fd;
	socklen_t size = sizeof(error);

	if (len > sizeof(*address))
		return -EPROTO;
	fd = socket(address->sin6_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, len) < 0 && errno != EINPROGRESS) {
		error = errno;
	} else {
		p.fd = fd;
		if (poll(&p, 1, CONFIG_FETCH_CONNECT_S * 1000) != 1)
			error = ETIMEDOUT;
		else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
			error = errno;
	}
	if (error) {
		close(fd);
		return -error;
	}
	return fd;
}

int dial(int exe, const char *server, const char *port, bool may_be_local, bool *is_local, struct err *e)
{
	struct resolved found;
	int r = resolve(exe, server, port, &found, e), last = -ECONNREFUSED;

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < found.count; i++) {
		bool local = is_local_address(&found.item[i].address);

		if (local && !may_be_local)
			return err_set(e, -EPROTO, "%s: the registry sent us to an address of this machine: refused", server);
		last = try_one(&found.item[i].address, found.item[i].len);
		if (last >= 0) {
			*is_local = local;
			return last;
		}
	}
	err_sys(e, -last, "%s:%s: cannot connect", server, port);
	return -ECONNABORTED;
}
