/* SPDX-License-Identifier: MIT */
/*
 * dhcpcd's script. Its environment carries what a DHCP server on the local
 * network said: untrusted. Nothing in it is used but addresses that parse as
 * such and an interface name without a slash. dhcpcd sets address and route
 * itself; this writes down what there is and lets PID 1 try failed pulls again.
 */
#include "dhcp_script.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "control.h"
#include "file.h"
#include "netcfg.h"
#include "text.h"

extern char **environ;

static const char *value_of(char *const env[], const char *name)
{
	size_t len = strlen(name);

	for (; *env; env++)
		if (!strncmp(*env, name, len) && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

static bool is_one_of(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(s, *list))
			return true;
	return false;
}

static bool is_iface(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len < 16 && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"._-@") == len && s[0] != '.';
}

/* Addresses divided by blanks, at most MAX of them; more are left out. False where one is none. */
static bool addresses(const char *s, uint8_t (*out)[4], unsigned max, unsigned *len)
{
	char one[16];

	*len = 0;
	while (s && *s && *len < max) {
		size_t n = strcspn(s, " ");

		if (n >= sizeof(one))
			return false;
		memcpy(one, s, n);
		one[n] = '\0';
		if (!board_conf_ipv4(one, out[*len]))
			return false;
		(*len)++;
		s += n + strspn(s + n, " ");
	}
	return true;
}

int dhcp_event_read(char *const env[], struct dhcp_event *out, const char **which)
{
	static const char *const bound[] = { "BOUND", "RENEW", "REBIND", "REBOOT", "INFORM", "STATIC", NULL };
	static const char *const lost[] = { "EXPIRE", "FAIL", "NAK", "RELEASE", "STOP", "STOPPED", "NOCARRIER",
		"TIMEOUT", "DEPARTED", NULL };
	const char *reason = value_of(env, "reason"), *iface = value_of(env, "interface");
	const char *addr = value_of(env, "new_ip_address"), *cidr = value_of(env, "new_subnet_cidr");
	unsigned routers = 0;
	uint64_t prefix;

	memset(out, 0, sizeof(*out));
	if (!reason || (!is_one_of(reason, bound) && !is_one_of(reason, lost)))
		return 0;
	out->is_bound = is_one_of(reason, bound);
	*which = "interface";
	if (!iface || !is_iface(iface))
		return -EBADMSG;
	text_copy(out->iface, sizeof(out->iface), iface);
	if (!out->is_bound)
		return 1;
	*which = "new_ip_address";
	if (!addr || !board_conf_ipv4(addr, out->addr))
		return -EBADMSG;
	*which = "new_subnet_cidr";
	if (!cidr || !text_u64(cidr, 32, &prefix))
		return -EBADMSG;
	out->prefix = (unsigned)prefix;
	*which = "new_routers";
	if (!addresses(value_of(env, "new_routers"), &out->gateway, 1, &routers))
		return -EBADMSG;
	out->has_gateway = routers == 1;
	*which = "new_domain_name_servers";
	if (!addresses(value_of(env, "new_domain_name_servers"), out->dns, BOARD_CONF_DNS, &out->dns_len))
		return -EBADMSG;
	*which = "new_ntp_servers";
	if (!addresses(value_of(env, "new_ntp_servers"), out->ntp, BOARD_CONF_DNS, &out->ntp_len))
		return -EBADMSG;
	return 1;
}

static void describe(const struct dhcp_event *d, char *out, size_t size)
{
	if (!d->is_bound)
		snprintf(out, size, "lost the lease of %s", d->iface);
	else if (d->has_gateway)
		snprintf(out, size, "%s %u.%u.%u.%u/%u via %u.%u.%u.%u (dhcp)", d->iface, d->addr[0], d->addr[1],
			d->addr[2], d->addr[3], d->prefix, d->gateway[0], d->gateway[1], d->gateway[2],
			d->gateway[3]);
	else
		snprintf(out, size, "%s %u.%u.%u.%u/%u, no gateway (dhcp)", d->iface, d->addr[0], d->addr[1],
			d->addr[2], d->addr[3], d->prefix);
}

static int address_lines(char *out, size_t size, const char *key, const uint8_t (*at)[4], unsigned count)
{
	int len = 0;

	for (unsigned i = 0; i < count; i++)
		len += snprintf(out + len, size - (size_t)len, "%s=%u.%u.%u.%u\n", key, at[i][0], at[i][1], at[i][2], at[i][3]);
	return len;
}

static int write_lease(const struct dhcp_event *d, struct err *e)
{
	int dir = open(CONTROL_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[24], text[256];
	int ret, len;

	if (dir < 0)
		return err_sys(e, errno, CONTROL_DIR);
	snprintf(name, sizeof(name), "lease.%s", d->iface);
	len = snprintf(text, sizeof(text), "address=%u.%u.%u.%u/%u\n", d->addr[0], d->addr[1], d->addr[2],
		d->addr[3], d->prefix);
	len += address_lines(text + len, sizeof(text) - (size_t)len, "gateway", &d->gateway, d->has_gateway);
	len += address_lines(text + len, sizeof(text) - (size_t)len, "dns", d->dns, d->dns_len);
	len += address_lines(text + len, sizeof(text) - (size_t)len, "ntp", d->ntp, d->ntp_len);
	ret = d->is_bound ? file_replace(dir, name, span_of(text, (size_t)len), 0644, e) :
		unlinkat(dir, name, 0) < 0 && errno != ENOENT ? err_sys(e, errno, "%s", name) : 0;
	close(dir);
	if (ret == 0 && d->is_bound && d->dns_len)
		ret = netcfg_resolv(d->dns, d->dns_len, e);
	return ret;
}

int dhcp_script_main(void)
{
	struct control_request q = { .magic = CONTROL_MAGIC, .command = CONTROL_NETWORK };
	struct control_reply r;
	struct dhcp_event d;
	struct err e = { "" };
	const char *which = "";
	int ret = dhcp_event_read(environ, &d, &which);

	if (ret == 0)
		return 0;
	if (ret < 0) {
		dprintf(2, "dhcp-script: %s: not what it should be; the lease is not used\n", which);
		return 1;
	}
	ret = write_lease(&d, &e);
	if (ret < 0)
		dprintf(2, "dhcp-script: %s\n", e.text);
	describe(&d, q.text, sizeof(q.text));
	return client_ask(CONTROL_PATH, &q, &r, NULL) < 0 || ret < 0;
}
