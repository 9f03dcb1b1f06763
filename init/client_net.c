/* SPDX-License-Identifier: MIT */
/* `coracle net` and the network line of `status`: what the kernel says, by ioctl and /proc/net/route. IPv4, as the board's own set-up is. */
#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "dir.h"
#include "text.h"

struct iface {
	char name[IFNAMSIZ];
	uint32_t addr, mask;		/* network order, 0: none */
	bool is_up, has_carrier;
};

enum { IFACES_MAX = 16 };

struct ifaces {
	struct iface at[IFACES_MAX];
	unsigned len;
	char route_iface[IFNAMSIZ];	/* of the default route, or "" */
	uint32_t gateway;
};

static uint32_t address(int fd, unsigned long request, struct ifreq *r)
{
	struct sockaddr_in in;

	if (ioctl(fd, request, r) < 0)
		return 0;
	memcpy(&in, &r->ifr_addr, sizeof(in));
	return in.sin_addr.s_addr;
}

static int look(const char *name, void *arg)
{
	struct ifaces *all = arg;
	struct iface *i = &all->at[all->len];
	struct ifreq r;
	int fd;

	if (strlen(name) >= IFNAMSIZ || all->len == IFACES_MAX)
		return 0;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	memset(&r, 0, sizeof(r));
	text_copy(r.ifr_name, sizeof(r.ifr_name), name);
	text_copy(i->name, sizeof(i->name), name);
	if (ioctl(fd, SIOCGIFFLAGS, &r) == 0) {
		i->is_up = r.ifr_flags & IFF_UP;
		i->has_carrier = r.ifr_flags & IFF_RUNNING;
	}
	i->addr = address(fd, SIOCGIFADDR, &r);
	i->mask = i->addr ? address(fd, SIOCGIFNETMASK, &r) : 0;
	all->len++;
	close(fd);
	return 0;
}

/* Eight hex digits, as /proc/net/route writes an address in the kernel's order. */
static bool hex32(const char *s, uint32_t *out)
{
	uint32_t n = 0;

	for (int i = 0; i < 8; i++) {
		char c = s[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F')))
			return false;
		n = n << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
	}
	*out = n;
	return true;
}

/* Iface, Destination, Gateway, divided by tabs. */
static void find_route(struct ifaces *all)
{
	static char table[8192];
	char *save = NULL, *line;

	text_file("/proc/net/route", table, sizeof(table));
	for (line = strtok_r(table, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *tab = strchr(line, '\t');
		uint32_t destination, gateway;

		if (!tab || strlen(tab) < 18 || !hex32(tab + 1, &destination) || !hex32(tab + 10, &gateway) ||
		    destination)
			continue;
		*tab = '\0';
		line[strcspn(line, " ")] = '\0';
		text_copy(all->route_iface, sizeof(all->route_iface), line);
		all->gateway = gateway;
		return;
	}
}

static void gather(struct ifaces *all)
{
	memset(all, 0, sizeof(*all));
	if (dir_walk("/sys/class/net", look, all) < 0)
		look("lo", all);
	find_route(all);
}

static void ipv4_text(uint32_t addr, char out[16])
{
	const uint8_t *b = (const uint8_t *)&addr;

	snprintf(out, 16, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
}

static void describe(const struct ifaces *all, const struct iface *i, char *out, size_t size)
{
	char addr[16], gateway[16];
	bool has_route = !strcmp(i->name, all->route_iface);

	ipv4_text(i->addr, addr);
	ipv4_text(all->gateway, gateway);
	if (!i->addr)
		snprintf(out, size, "%s no address", i->name);
	else
		snprintf(out, size, "%s %s/%d%s%s", i->name, addr, __builtin_popcount(i->mask),
			has_route ? " via " : "", has_route ? gateway : "");
}

bool client_net_line(char *out, size_t size)
{
	struct ifaces all;
	const struct iface *best = NULL;

	gather(&all);
	for (unsigned k = 0; k < all.len; k++) {
		const struct iface *i = &all.at[k];

		if (!i->addr || !strcmp(i->name, "lo"))
			continue;
		if (!best || !strcmp(i->name, all.route_iface))
			best = i;
	}
	if (best)
		describe(&all, best, out, size);
	return best != NULL;
}

static void show_json(const struct ifaces *all, const char *resolv)
{
	printf("{\"interfaces\":[");
	for (unsigned k = 0; k < all->len; k++) {
		const struct iface *i = &all->at[k];
		char addr[16];

		ipv4_text(i->addr, addr);
		printf("%s{\"name\":", k ? "," : "");
		json_text(i->name);
		printf(",\"up\":%s,\"carrier\":%s", i->is_up ? "true" : "false", i->has_carrier ? "true" : "false");
		if (i->addr)
			printf(",\"address\":\"%s\",\"prefix\":%d", addr, __builtin_popcount(i->mask));
		if (!strcmp(i->name, all->route_iface)) {
			ipv4_text(all->gateway, addr);
			printf(",\"gateway\":\"%s\"", addr);
		}
		printf("}");
	}
	printf("],\"resolv_conf\":");
	json_text(resolv);
}

/* The units' networks, where there are any: coracle-net tells them, between what is printed here. 0, or -1 where it said nothing. */
static int show_networks(const struct client_args *a)
{
	const char *slash = strrchr(a->socket, '/');
	char run[192], program[192];
	const struct status *s;
	int status;
	pid_t pid;

	snprintf(run, sizeof(run), "%.*s/net/up", slash ? (int)(slash - a->socket) : 0, a->socket);
	if (access(run, F_OK) < 0)
		return -1;
	run[strlen(run) - 3] = '\0';
	s = client_status(a);
	if (!s)
		return -1;
	snprintf(program, sizeof(program), "%s/coracle-net", s->bin_dir);
	if (access(program, X_OK) < 0)
		return -1;
	if (a->is_json)
		putchar(',');
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execl(program, "coracle-net", "show", "--run", run, a->is_json ? "--json" : (char *)NULL, (char *)NULL);
		_exit(1);
	}
	if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
		return 0;
	if (a->is_json)
		printf("\"networks\":null");
	return -1;
}

int client_show_net(const struct client_args *a)
{
	struct ifaces all;
	char line[160], resolv[1024], *save = NULL, *l;

	gather(&all);
	if (text_file("/etc/resolv.conf", resolv, sizeof(resolv)) < 0)
		resolv[0] = '\0';
	if (a->is_json) {
		show_json(&all, resolv);
		show_networks(a);
		printf("}\n");
		return 0;
	}
	for (unsigned k = 0; k < all.len; k++) {
		describe(&all, &all.at[k], line, sizeof(line));
		printf("%s%s%s\n", line, all.at[k].is_up ? "" : ", down",
			all.at[k].is_up && !all.at[k].has_carrier ? ", no carrier" : "");
	}
	for (l = strtok_r(resolv, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (strncmp(l, "nameserver", 10) != 0)
			continue;
		client_print(l, strlen(l));
		putchar('\n');
	}
	show_networks(a);
	return 0;
}
