/* SPDX-License-Identifier: MIT */
/* Input of the jail: DNS answers, hostile. Input of the caller: one fixed-size struct, whose every field is checked. */
#include "resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"
#include "file.h"
#include "filter.h"

enum { DEADLINE_MS = 30000, CONF_MAX = 65536 };

int resolve_main(const char *server, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	struct resolved out = { .count = 0 };

	out.failure = getaddrinfo(server, port, &hints, &list);
	for (struct addrinfo *a = out.failure ? NULL : list; a && out.count < RESOLVE_MAX; a = a->ai_next) {
		if (a->ai_addrlen > sizeof(out.item[0].address))
			continue;
		out.item[out.count].len = (uint32_t)a->ai_addrlen;
		memcpy(&out.item[out.count].address, a->ai_addr, a->ai_addrlen);
		out.count++;
	}
	return file_write_all(1, &out, sizeof(out)) < 0;
}

static const struct sock_filter filter[] = {
	FILTER_BEGIN, FILTER_START,
	FILTER_OPEN, FILTER_POLL, FILTER_ALLOW(lseek_any), FILTER_ALLOW(socket), FILTER_ALLOW(connect), FILTER_ALLOW(bind),
	FILTER_ALLOW(sendto), FILTER_ALLOW(sendmsg), FILTER_ALLOW(recvfrom), FILTER_ALLOW(recvmsg),
	FILTER_ALLOW(getsockname), FILTER_ALLOW(setsockopt), FILTER_ALLOW(getrandom), FILTER_ALLOW(gettimeofday_old),
	FILTER_END,
};

void resolve_jail_spec(struct jail_spec *spec)
{
	*spec = (struct jail_spec){
		.name = "resolve", .uid = CONFIG_UID_RESOLVE, .host_network = true, .memory_max = 64ull << 20, .fds_max = 32,
		.filter = filter, .filter_len = sizeof(filter) / sizeof(*filter),
	};
}

int resolve(int exe, const char *server, const char *port, struct resolved *out, struct err *e)
{
	char *conf = NULL, *hosts = NULL;
	size_t conf_len = 0, hosts_len = 0;
	struct jail_file files[2];
	struct jail_spec spec;
	char *argv[] = { (char *)"coracle-fetch", (char *)"--jail-resolve", (char *)server, (char *)port, NULL };
	struct jail jail = { 0, -1 };
	int pipe_fds[2], r;
	ssize_t n;

	resolve_jail_spec(&spec);
	spec.files = files;
	/* Read afresh each time: a new lease may have replaced them. Absent files are no error: musl then asks 127.0.0.1. */
	if (file_read(AT_FDCWD, "/etc/resolv.conf", CONF_MAX, &conf, &conf_len, NULL) == 0)
		files[spec.files_len++] = (struct jail_file){ "etc/resolv.conf", span_of(conf, conf_len) };
	if (file_read(AT_FDCWD, "/etc/hosts", CONF_MAX, &hosts, &hosts_len, NULL) == 0)
		files[spec.files_len++] = (struct jail_file){ "etc/hosts", span_of(hosts, hosts_len) };
	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		r = err_sys(e, errno, "%s: resolving", server);
		goto out;
	}
	r = jail_start(&jail, &spec, exe, argv, &(struct jail_fd){ pipe_fds[1], 1 }, 1, e);
	close(pipe_fds[1]);
	if (r == 0) {
		n = file_read_full(pipe_fds[0], out, sizeof(*out));
		r = jail_wait(&jail, DEADLINE_MS);
		if (n != sizeof(*out) || r != 0 || out->count > RESOLVE_MAX)
			r = err_set(e, -ECONNABORTED, "%s: the resolver died (status %d)", server, r);
		else if (out->failure || out->count == 0)
			r = err_set(e, -ECONNABORTED, "%s: no address for this name: %s. Is the network up, and the name server right "
				"(/etc/resolv.conf)?", server, out->failure ? gai_strerror(out->failure) : "none found");
	}
	close(pipe_fds[0]);
out:
	free(conf);
	free(hosts);
	return r;
}
