/* SPDX-License-Identifier: MIT */
/* Any bytes as board.conf for the attendant, and as what a lease names: whatever they say, chrony.conf gets lines of server and its own, nothing else. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attend.h"
#include "jail.h"
#include "link.h"
#include "sntp.h"
#include "stick.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing is started here. */
int jail_start(struct jail *j, const struct jail_spec *spec, int exe_fd, char *const argv[], const struct jail_fd *fds, size_t fds_len, struct err *e)
{
	(void)j, (void)spec, (void)exe_fd, (void)argv, (void)fds, (void)fds_len, (void)e;
	abort();
}

void jail_kill(struct jail *j)
{
	(void)j;
	abort();
}

int jail_wait(struct jail *j, int timeout_ms)
{
	(void)j, (void)timeout_ms;
	abort();
}

int64_t link_now_ms(void)
{
	return 1;
}

void stick_look(const struct attend *a, uint64_t now_ms)
{
	(void)a, (void)now_ms;
}

static void check(const char *list, size_t room)
{
	static const char *const own[] = { "makestep 1.0 -1", "rtcsync", "pidfile /", "bindcmdaddress /", "port 0" };
	char conf[2048], bad[64], host[200], rest[40];
	unsigned count = sntp_config(list, conf, room, bad, sizeof(bad)), servers = 0;
	unsigned long port;
	char *save, *line = strtok_r(conf, "\n", &save);

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++, line = strtok_r(NULL, "\n", &save))
		if (!line || strcmp(line, own[i]) != 0)
			abort();
	for (; line; line = strtok_r(NULL, "\n", &save), servers++)
		if (sscanf(line, "server %199[A-Za-z0-9.-] port %lu %39[a-z ]", host, &port, rest) != 3 || strcmp(rest, "iburst") != 0 || port == 0 || port > 65535 ||
		    host[0] == '-')
			abort();
	if (servers != count)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct attend a;
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	attend_read(&a, text);
	if (strlen(a.data_dir) >= sizeof(a.data_dir) || strlen(a.data_label) >= sizeof(a.data_label) || strlen(a.ntp) >= sizeof(a.ntp))
		abort();
	check(a.ntp, 2048);
	check(text, 200 + size % 1800);
	free(text);
	return 0;
}
