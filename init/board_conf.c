/* SPDX-License-Identifier: MIT */
/* board.conf: a line parser over a fixed buffer. Every mistake is named with its line; the line is skipped, the rest counts. Never
 * allocates. */
#include "board_conf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "lock.h"
#include "text.h"

enum { WORDS_MAX = 6 };

struct line {
	struct board_conf *conf;
	unsigned number;
	char *word[WORDS_MAX];
	unsigned words;
	bool is_own;
};

static void complain(struct board_conf *c, unsigned line, const char *fmt, ...)
{
	char text[96];
	va_list ap;

	if (c->errors++ >= BOARD_CONF_ERRORS)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(c->error[c->errors - 1], sizeof(c->error[0]), "board.conf:%u: %s", line, text);
}

bool board_conf_ipv4(const char *s, uint8_t out[4])
{
	for (int i = 0; i < 4; i++) {
		unsigned n = 0, digits = 0;

		for (; *s >= '0' && *s <= '9' && digits < 3; s++, digits++)
			n = n * 10 + (unsigned)(*s - '0');
		if (!digits || n > 255 || *s != (i < 3 ? '.' : '\0'))
			return false;
		out[i] = (uint8_t)n;
		s++;
	}
	return true;
}

static void take(const struct line *l, const char *what, char *out, size_t size, const char *in)
{
	if (!*in || strlen(in) >= size)
		complain(l->conf, l->number, "%s: empty or longer than %zu characters", what, size - 1);
	else
		text_copy(out, size, in);
}

static void take_path(const struct line *l, const char *what, char *out, size_t size, const char *in)
{
	if (in[0] != '/')
		complain(l->conf, l->number, "%s: not an absolute path", what);
	else
		take(l, what, out, size, in);
}

static bool take_address(const struct line *l, char *in)
{
	struct board_conf *c = l->conf;
	char *slash = strchr(in, '/');
	uint64_t prefix;

	if (slash)
		*slash = '\0';
	if (!slash || !text_u64(slash + 1, 32, &prefix) || !board_conf_ipv4(in, c->net_addr))
		return false;
	c->net_prefix = (unsigned)prefix;
	return true;
}

static void take_network(const struct line *l)
{
	struct board_conf *c = l->conf;

	if (l->words == 1 && !strcmp(l->word[0], "none")) {
		c->net = BOARD_NET_NONE;
	} else if ((l->words == 1 || l->words == 2) && !strcmp(l->word[0], "dhcp")) {
		c->net = BOARD_NET_DHCP;
		if (l->words == 2)
			take(l, "network", c->net_iface, sizeof(c->net_iface), l->word[1]);
	} else if ((l->words == 3 || l->words == 4) && !strcmp(l->word[0], "static") &&
		   strlen(l->word[1]) < sizeof(c->net_iface) && take_address(l, l->word[2]) &&
		   (l->words == 3 || board_conf_ipv4(l->word[3], c->net_gateway))) {
		c->net = BOARD_NET_STATIC;
		text_copy(c->net_iface, sizeof(c->net_iface), l->word[1]);
		c->has_gateway = l->words == 4;
	} else {
		complain(c, l->number, "network: dhcp [IFACE] | static IFACE ADDR/PREFIX [GATEWAY] | none");
	}
}

static void take_console(const struct line *l, char *value)
{
	struct board_conf *c = l->conf;
	char *word = strchr(value, ' ');
	bool is_plain = word && !strcmp(word, " plain");

	if (is_plain)
		*word = '\0';
	c->is_console_set = true;
	if (!strcmp(value, "none"))
		return;
	if (c->console_len == BOARD_CONF_CONSOLES)
		complain(c, l->number, "console: at most %d of them", BOARD_CONF_CONSOLES);
	else if (strlen(value) >= sizeof(c->console[0]) || !*value || (word && !is_plain))
		complain(c, l->number, "console: a device like /dev/ttyS0, and `plain` where it can be; - or none");
	else {
		c->is_plain[c->console_len] = is_plain;
		snprintf(c->console[c->console_len++], sizeof(c->console[0]), "%s%s",
			value[0] == '/' || !strcmp(value, "-") ? "" : "/dev/", value);
	}
}

static void take_bool(const struct line *l, const char *what, bool *out, const char *in)
{
	if (!strcmp(in, "yes") || !strcmp(in, "no"))
		*out = in[0] == 'y';
	else
		complain(l->conf, l->number, "%s: yes or no", what);
}

static void take_number(const struct line *l, const char *what, unsigned *out, uint64_t max, const char *in)
{
	uint64_t n;

	if (text_u64(in, max, &n) && n)
		*out = (unsigned)n;
	else
		complain(l->conf, l->number, "%s: a number from 1 to %u", what, (unsigned)max);
}

static void take_watchdog(struct line *l, const char *value)
{
	uint64_t s = 0;

	if (strcmp(value, "none") != 0 && (!text_u64(value, 3600, &s) || !s))
		complain(l->conf, l->number, "watchdog: seconds from 1 to 3600, or none");
	else
		l->conf->watchdog_s = (unsigned)s;
}

static void take_key(struct line *l, const char *key, char *value)
{
	struct board_conf *c = l->conf;

	if (l->is_own && strcmp(key, "hostname") != 0 && strcmp(key, "network") != 0 && strcmp(key, "dns") != 0)
		complain(c, l->number, "%.32s: not a setting of one device, which are hostname, network and dns", key);
	else if (!strcmp(key, "hostname"))
		take(l, key, c->hostname, sizeof(c->hostname), value);
	else if (!strcmp(key, "data-label"))
		take(l, key, c->data_label, sizeof(c->data_label), value);
	else if (!strcmp(key, "data-dir"))
		take_path(l, key, c->data_dir, sizeof(c->data_dir), value);
	else if (!strcmp(key, "units"))
		take_path(l, key, c->units, sizeof(c->units), value);
	else if (!strcmp(key, "data-grow"))
		take_bool(l, key, &c->is_data_grown, value);
	else if (!strcmp(key, "verify") && !strcmp(value, "boot"))
		c->is_verified = true;
	else if (!strcmp(key, "host"))
		take_bool(l, key, &c->is_host, value);
	else if (!strcmp(key, "exec"))
		take_bool(l, key, &c->is_exec, value);
	else if (!strcmp(key, "userns-host"))
		;	/* coracle-bundle reads it: which units may */
	else if (!strcmp(key, "console"))
		take_console(l, value);
	else if (!strcmp(key, "console-lock") && lock_is_hash(value))
		take(l, key, c->lock, sizeof(c->lock), value);
	else if (!strcmp(key, "console-lock"))
		complain(c, l->number, "console-lock: a hash as `openssl passwd -5` prints it; changes stay unlocked without one");
	else if (!strcmp(key, "watchdog"))
		take_watchdog(l, value);
	else if (!strcmp(key, "read-group"))
		take_number(l, key, &c->read_group, INT32_MAX, value);
	else if (!strcmp(key, "metrics-port"))
		take_number(l, key, &c->metrics_port, UINT16_MAX, value);
	else if (!strcmp(key, "ntp") || !strcmp(key, "sticks"))
		;	/* the attendant reads these */
	else if (!strcmp(key, "network")) {
		char *save = NULL, *w;

		for (w = strtok_r(value, " \t", &save); w && l->words < WORDS_MAX;
		     w = strtok_r(NULL, " \t", &save))
			l->word[l->words++] = w;
		take_network(l);
	} else if (!strcmp(key, "dns")) {
		if (c->dns_len < BOARD_CONF_DNS && board_conf_ipv4(value, c->dns[c->dns_len]))
			c->dns_len++;
		else
			complain(c, l->number, "dns: an IPv4 address, at most %d of them", BOARD_CONF_DNS);
	} else {
		char shown[32];

		text_printable(shown, sizeof(shown), key);
		complain(c, l->number, "unknown key '%s'", shown);
	}
}

static char *trim(char *s)
{
	char *end;

	while (*s == ' ' || *s == '\t')
		s++;
	end = s + strlen(s);
	while (end > s && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		*--end = '\0';
	return s;
}

static void defaults(struct board_conf *c)
{
	*c = (struct board_conf){ .net = BOARD_NET_NONE, .watchdog_s = CONFIG_WATCHDOG_S };
	text_copy(c->hostname, sizeof(c->hostname), "coracle");
	text_copy(c->data_label, sizeof(c->data_label), "coracle-data");
	text_copy(c->units, sizeof(c->units), "/etc/coracle/units");
}

static void lines(struct board_conf *c, const char *text, bool is_own)
{
	char buf[256];

	for (unsigned number = 1; *text; number++) {
		size_t len = strcspn(text, "\n");
		struct line l = { .conf = c, .number = number, .is_own = is_own };
		char *s, *eq;

		if (len >= sizeof(buf)) {
			complain(c, number, "line longer than %zu characters", sizeof(buf) - 1);
		} else {
			memcpy(buf, text, len);
			buf[len] = '\0';
			s = trim(buf);
			eq = strchr(s, '=');
			if (*s && *s != '#' && !eq)
				complain(c, number, "not KEY=VALUE");
			else if (*s && *s != '#') {
				*eq = '\0';
				take_key(&l, trim(s), trim(eq + 1));
			}
		}
		text += len + (text[len] == '\n');
	}
}

void board_conf_parse(struct board_conf *c, const char *text)
{
	defaults(c);
	lines(c, text, false);
}

void board_conf_own(struct board_conf *c, const char *text)
{
	if (strstr(text, "dns="))
		c->dns_len = 0;
	lines(c, text, true);
}

void board_conf_read(struct board_conf *c, const char *path)
{
	char buf[BOARD_CONF_FILE_MAX];
	long n = text_file(path, buf, sizeof(buf));

	board_conf_parse(c, n < 0 && n != -EFBIG ? "" : buf);
	if (n < 0)
		complain(c, 0, "%.60s: %s; %s", path, strerror((int)-n),
			n == -EFBIG ? "only its first 8 KiB count" : "defaults are used");
}
