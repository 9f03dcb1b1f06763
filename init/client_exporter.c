/* SPDX-License-Identifier: MIT */
/*
 * `metrics --listen`: OpenMetrics over HTTP/1.1 (RFC 9112) for whoever connects to the socket that PID 1's helper was handed: GET or HEAD of
 * /metrics, one request a connection, one connection at a time, each over within seconds. Runs as nobody. What is asked is compared, never
 * used; never allocates.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "client.h"
#include "text.h"

enum { REQUEST_MAX = 4096, REQUEST_MS = 2000 };

/* The head of one request; false where it is none in time. */
static bool read_head(int fd, char *out, size_t size)
{
	uint64_t end = text_now_ms() + REQUEST_MS;
	size_t len = 0;

	out[0] = '\0';
	while (!strstr(out, "\r\n\r\n")) {
		ssize_t n = len + 1 < size && text_now_ms() < end ? recv(fd, out + len, size - 1 - len, 0) : 0;

		if (n <= 0)
			return false;
		for (ssize_t i = 0; i < n; i++)
			out[len + (size_t)i] = out[len + (size_t)i] ? out[len + (size_t)i] : '?';
		len += (size_t)n;
		out[len] = '\0';
	}
	return true;
}

static void answer(const struct client_args *a, const char *head)
{
	bool is_head = !strncmp(head, "HEAD ", 5);
	const char *path = is_head ? head + 5 : !strncmp(head, "GET ", 4) ? head + 4 : NULL;
	bool is_found = path && !strncmp(path, "/metrics", 8) && (path[8] == ' ' || path[8] == '?');
	const struct status *s = is_found ? client_status(a) : NULL;
	const char *code = s ? "200 OK" : is_found ? "503 Service Unavailable" : path ? "404 Not Found" : "405 Method Not Allowed";

	printf("HTTP/1.1 %s\r\nContent-Type: %s\r\nConnection: close\r\n\r\n", code, s ?
		"application/openmetrics-text; version=1.0.0; charset=utf-8" : "text/plain");
	if (s && !is_head)
		client_print_metrics(s);
	if (!s)
		printf("%s: /metrics is here\n", code);
}

static void serve(const struct client_args *a, int fd)
{
	const struct timeval limit = { .tv_sec = 1 };
	char head[REQUEST_MAX];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (!read_head(fd, head, sizeof(head)) || dup2(fd, 1) < 0)
		return;
	answer(a, head);
	fflush(stdout);
	clearerr(stdout);
	dup2(2, 1);
	shutdown(fd, SHUT_WR);
}

int client_serve_metrics(const struct client_args *a)
{
	prctl(PR_SET_NAME, "metrics");
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int fd = accept4(0, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0) {
			serve(a, fd);
			close(fd);
		} else if (errno == EBADF || errno == ENOTSOCK || errno == EINVAL) {
			fprintf(stderr, "coracle: metrics --listen: descriptor 0: %s\n", strerror(errno));
			return 1;
		} else {
			usleep(100000);
		}
	}
}
