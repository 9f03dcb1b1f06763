/* SPDX-License-Identifier: MIT */
/* Reads the plan (lib/net_plan.h). Our own coracle-bundle wrote it on a tmpfs; it is checked all the same, as far as what it says becomes a path or a size. */
#include "plan.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "record.h"

enum { PLAN_MAX = 1 << 20, WORDS = 12 };

struct reader {
	struct plan *p;
	struct plan_network *network;	/* the one that indented lines belong to, or the unit */
	struct plan_unit *unit;
	char *word[WORDS];
	unsigned words;
};

bool plan_is_name(const char *s)
{
	size_t len = strlen(s);

	for (const char *c = s; *c; c++)
		if (!isalnum((unsigned char)*c) && (c == s || !strchr("-_.", *c)))
			return false;
	return len > 0 && len < NET_NAME_MAX;
}

static bool number(const char *s, uint32_t max, uint32_t *out)
{
	char *end;
	unsigned long n;

	if (!isdigit((unsigned char)*s))
		return false;
	n = strtoul(s, &end, 10);
	*out = (uint32_t)n;
	return !*end && n <= max;
}

static bool take_range(struct plan_network *n, char *value)
{
	char *dash = strchr(value, '-');

	if (!dash)
		return false;
	*dash = '\0';
	return number(value, UINT32_MAX >> 1, &n->lo) && number(dash + 1, UINT32_MAX >> 1, &n->hi) && n->lo <= n->hi;
}

static bool take_network_word(struct plan_network *n, char *word)
{
	char *value = strchr(word, '=');

	if (!value) {
		n->is_internal |= strcmp(word, "internal") == 0;
		return strcmp(word, "internal") == 0;
	}
	*value++ = '\0';
	if (strcmp(word, "bridge") == 0) {
		snprintf(n->bridge, sizeof(n->bridge), "%s", value);
		return plan_is_name(value) && strlen(value) < sizeof(n->bridge);
	}
	if (strcmp(word, "mtu") == 0)
		return number(value, 65535, &n->mtu);
	if (strcmp(word, "subnet") == 0)
		return n->is_fixed4 = subnet_parse(value, &n->net4) && n->net4.addr.len == 4;
	if (strcmp(word, "gateway") == 0)
		return addr_parse(value, &n->gateway4) && n->gateway4.len == 4;
	if (strcmp(word, "range") == 0)
		return take_range(n, value);
	if (strcmp(word, "subnet6") == 0) {
		n->wants6 = true;
		return strcmp(value, "auto") == 0 || (n->is_fixed6 = subnet_parse(value, &n->net6) && n->net6.addr.len == 16);
	}
	if (strcmp(word, "gateway6") == 0)
		return addr_parse(value, &n->gateway6) && n->gateway6.len == 16;
	return false;
}

static bool begin_network(struct reader *r)
{
	struct plan_network *n = &r->p->network[r->p->networks];
	bool is_good = r->words > 1 && r->p->networks < NET_NETWORKS_MAX && plan_is_name(r->word[1]);

	if (!is_good)
		return false;
	n->name = r->word[1];
	for (unsigned i = 2; i < r->words && is_good; i++)
		is_good = take_network_word(n, r->word[i]);
	r->p->networks++;
	r->network = n;
	r->unit = NULL;
	return is_good && n->bridge[0];
}

static bool begin_unit(struct reader *r)
{
	if (r->words != 2 || r->p->units == NET_UNITS_MAX || !plan_is_name(r->word[1]))
		return false;
	r->unit = &r->p->unit[r->p->units++];
	r->unit->name = r->word[1];
	r->network = NULL;
	return true;
}

static bool take_join(struct reader *r)
{
	struct plan_join *j = &r->unit->join[r->unit->joins];

	if (r->words < 2 || r->unit->joins == NET_JOINS_MAX)
		return false;
	for (j->network = 0; j->network < r->p->networks; j->network++)
		if (strcmp(r->p->network[j->network].name, r->word[1]) == 0)
			break;
	for (unsigned i = 2; i < r->words; i++)
		if (!(strncmp(r->word[i], "ip=", 3) == 0 && addr_parse(r->word[i] + 3, &j->ip4) && j->ip4.len == 4) &&
		    !(strncmp(r->word[i], "ip6=", 4) == 0 && addr_parse(r->word[i] + 4, &j->ip6) && j->ip6.len == 16))
			return false;
	r->unit->joins++;
	return j->network < r->p->networks;
}

static bool take_publish(struct reader *r)
{
	struct plan_publish *x = &r->unit->publish[r->unit->publishes];
	uint32_t lo, hi, to;

	if (r->words != 6 || r->unit->publishes == NET_PUBLISH_MAX || !number(r->word[2], 65535, &lo) || !number(r->word[3], 65535, &hi) ||
	    !number(r->word[4], 65535, &to) || !lo || !to || hi < lo || to + (hi - lo) > 65535)
		return false;
	x->lo = (uint16_t)lo;
	x->hi = (uint16_t)hi;
	x->to = (uint16_t)to;
	x->is_udp = strcmp(r->word[5], "udp") == 0;
	r->unit->publishes++;
	return (strcmp(r->word[1], "-") == 0 || addr_parse(r->word[1], &x->addr)) && (x->is_udp || strcmp(r->word[5], "tcp") == 0);
}

static bool add(const char **list, unsigned *count, unsigned max, const char *word)
{
	if (*count == max)
		return false;
	list[(*count)++] = word;
	return true;
}

static bool add_addr(struct addr *list, unsigned *count, const char *word)
{
	return *count < NET_DNS_MAX && addr_parse(word, &list[(*count)++]);
}

static bool take_below(struct reader *r)
{
	struct plan_unit *u = r->unit;
	const char *what = r->word[0], *one = r->words > 1 ? r->word[1] : "";

	if (r->network)
		return r->words == 2 && strcmp(what, "dns") == 0 && add_addr(r->network->dns, &r->network->dns_len, one);
	if (!u)
		return false;
	if (strcmp(what, "join") == 0)
		return take_join(r);
	if (strcmp(what, "publish") == 0)
		return take_publish(r);
	if (strcmp(what, "alias") == 0)
		return r->words == 2 && plan_is_name(one) && add(u->alias, &u->aliases, NET_ALIASES_MAX, one);
	if (strcmp(what, "dns") == 0 && strcmp(one, "none") == 0)
		return u->has_no_dns = true;
	if (strcmp(what, "dns") == 0)
		return r->words == 2 && add_addr(u->dns, &u->dns_len, one);
	if (strcmp(what, "search") == 0)
		return r->words == 2 && add(u->search, &u->searches, NET_WORDS_MAX, one);
	if (strcmp(what, "option") == 0)
		return r->words == 2 && add(u->option, &u->options, NET_WORDS_MAX, one);
	if (strcmp(what, "host") == 0 && r->words == 3 && u->hosts < NET_HOSTS_MAX) {
		u->host[u->hosts].name = one;
		return plan_is_name(one) && addr_parse(r->word[2], &u->host[u->hosts++].addr);
	}
	if (strcmp(what, "sysctl") == 0 && r->words == 3 && u->sysctls < NET_SYSCTLS_MAX) {
		u->sysctl[u->sysctls].path = one;
		u->sysctl[u->sysctls++].value = r->word[2];
		return strncmp(one, "net/", 4) == 0 && !strstr(one, "..");
	}
	return false;
}

static bool take_line(struct reader *r, char *line)
{
	bool is_below = line[0] == ' ';
	char *save = NULL;

	r->words = 0;
	for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (r->words == WORDS)
			return false;
		r->word[r->words++] = w;
	}
	if (r->words == 0)
		return true;
	if (is_below)
		return take_below(r);
	return strcmp(r->word[0], "network") == 0 ? begin_network(r) : strcmp(r->word[0], "unit") == 0 && begin_unit(r);
}

int plan_parse(struct plan *p, char *text, const char *name, struct err *e)
{
	char want[64], *body = strchr(text, '\n'), *save = NULL;
	struct reader r = { .p = p };
	unsigned number = 1;

	memset(p, 0, sizeof(*p));
	p->text = text;
	p->unit = calloc(NET_UNITS_MAX, sizeof(*p->unit));
	if (!p->unit)
		return err_sys(e, ENOMEM, "%s", name);
	if (!body)
		return err_set(e, -EUCLEAN, "%s: is no plan: `coracle-bundle units` writes it anew", name);
	*body++ = '\0';
	snprintf(want, sizeof(want), NET_PLAN_FIRST "%08x", record_crc32(0, body, strlen(body)));
	if (strcmp(text, want) != 0)
		return err_set(e, -EUCLEAN, "%s: damaged, or of another version: `coracle-bundle units` writes it anew", name);
	for (char *line = strtok_r(body, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		number++;
		if (!take_line(&r, line))
			return err_set(e, -EUCLEAN, "%s:%u: not understood: are coracle-bundle and coracle-net of one build?", name, number);
	}
	return 0;
}

int plan_read(struct plan *p, const char *path, struct err *e)
{
	char *text = NULL;
	size_t len;
	int r = file_read(AT_FDCWD, path, PLAN_MAX, &text, &len, e);

	if (r < 0) {
		memset(p, 0, sizeof(*p));
		return r;
	}
	return plan_parse(p, text, path, e);
}

void plan_free(struct plan *p)
{
	free(p->unit);
	free(p->text);
	memset(p, 0, sizeof(*p));
}

struct plan_unit *plan_find(struct plan *p, const char *unit)
{
	for (unsigned i = 0; i < p->units; i++)
		if (strcmp(p->unit[i].name, unit) == 0)
			return &p->unit[i];
	return NULL;
}
