/* SPDX-License-Identifier: MIT */
/* net/lease.c and net/plan.c: nobody's address changes by another's coming or going, none is given twice, and a plan that is cut is not believed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lease.h"
#include "record.h"

static struct leases leases;
static const bool down[NET_NETWORKS_MAX];

static int parse(struct plan *p, const char *body)
{
	size_t size = strlen(body) + 64;
	char *text = malloc(size);
	struct err e = { "" };

	snprintf(text, size, NET_PLAN_FIRST "%08x\n%s", record_crc32(0, body, strlen(body)), body);
	return plan_parse(p, text, "plan", &e);
}

/* COUNT units from FIRST on in one network. */
static void fill(struct plan *p, const char *network, unsigned first, unsigned count)
{
	size_t size = 64 * count + 200;
	char *body = malloc(size);
	size_t at = (size_t)snprintf(body, size, "network n bridge=c-n%s\n", network);

	for (unsigned i = first; i < first + count; i++)
		at += (size_t)snprintf(body + at, size - at, "unit u%u\n join n\n", i);
	assert_int_equal(parse(p, body), 0);
	free(body);
}

static void nobody_has_anothers(void **state)
{
	struct plan p;

	(void)state;
	fill(&p, "", 0, 253);		/* all but the bridge's own */
	lease_assign(&leases, &p, NULL, 0, down);
	for (unsigned i = 0; i < p.units; i++) {
		assert_string_equal(p.unit[i].join[0].refused, "");
		for (unsigned k = 0; k < i; k++)
			assert_false(addr_equal(&p.unit[i].join[0].ip4, &p.unit[k].join[0].ip4));
		assert_false(addr_equal(&p.unit[i].join[0].ip4, &p.network[0].gateway4));
	}
	plan_free(&p);
	memset(&leases, 0, sizeof(leases));
	fill(&p, "", 0, 255);		/* two too many */
	lease_assign(&leases, &p, NULL, 0, down);
	assert_non_null(strstr(p.unit[253].join[0].refused, "network n has no address left in 10.89.0.0/24: a wider Subnet= or IPRange="));
	assert_int_equal(leases.count, 253);
	plan_free(&p);
}

static void they_stay(void **state)
{
	struct plan p;
	struct addr before[40];
	char dir[] = "/tmp/lease_test.XXXXXX", path[64];
	struct err e = { "" };

	(void)state;
	memset(&leases, 0, sizeof(leases));
	fill(&p, " subnet6=auto", 100, 40);
	assert_true(lease_assign(&leases, &p, NULL, 0, down));
	for (unsigned i = 0; i < 40; i++)
		before[i] = p.unit[i].join[0].ip6;
	plan_free(&p);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(leases_write(&leases, dir, "net", &e), 0);
	snprintf(path, sizeof(path), "%s/net", dir);
	assert_int_equal(leases_read(&leases, path, &e), 0);
	fill(&p, " subnet6=auto", 0, 200);
	lease_assign(&leases, &p, NULL, 0, down);
	for (unsigned i = 0; i < 40; i++)
		assert_true(addr_equal(&p.unit[100 + i].join[0].ip6, &before[i]));
	assert_false(lease_assign(&leases, &p, NULL, 0, down));
	plan_free(&p);
	/* Every byte of the file counts. */
	for (off_t at = 0; at < 400; at += 7) {
		FILE *f = fopen(path, "r+");
		int c;

		fseek(f, at, SEEK_SET);
		c = fgetc(f);
		fseek(f, at, SEEK_SET);
		fputc(c ^ 1, f);
		fclose(f);
		assert_int_equal(leases_read(&leases, path, &e), -EUCLEAN);
		assert_int_equal(leases.count, 0);
		f = fopen(path, "r+");
		fseek(f, at, SEEK_SET);
		fputc(c, f);
		fclose(f);
	}
	assert_int_equal(leases_read(&leases, path, &e), 0);
	unlink(path);
	rmdir(dir);
}

static void a_plan_that_is_cut_is_none(void **state)
{
	static const char body[] = "network n bridge=c-n subnet=10.0.0.0/24\nunit a\n join n ip=10.0.0.7\n alias b\n publish - 1 2 3 udp\n host x ::1\n";
	struct plan p;

	(void)state;
	assert_int_equal(parse(&p, body), 0);
	assert_true(p.units == 1 && p.unit[0].publish[0].is_udp && p.unit[0].publish[0].hi == 2 && p.unit[0].hosts == 1);
	assert_ptr_equal(plan_find(&p, "a"), &p.unit[0]);
	assert_null(plan_find(&p, "b"));
	plan_free(&p);
	/* The checksum is right each time: it is each line that is looked at. Cut in a word it may still be one. */
	for (size_t len = 0; len < sizeof(body) - 1; len++) {
		char *cut = strndup(body, len);

		(void)parse(&p, cut);
		plan_free(&p);
		free(cut);
	}
	assert_int_equal(parse(&p, "network n bridge=c-n\nunit a\n join m\n"), -EUCLEAN);
	plan_free(&p);
	assert_int_equal(parse(&p, " join n\n"), -EUCLEAN);
	plan_free(&p);
	assert_int_equal(parse(&p, "network n bridge=averyveryverylongname\n"), -EUCLEAN);
	plan_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_has_anothers), cmocka_unit_test(they_stay), cmocka_unit_test(a_plan_that_is_cut_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
