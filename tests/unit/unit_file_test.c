/* SPDX-License-Identifier: MIT */
/* bundle/unit_file.c and bundle/unit_keys.c: what keys mean, and that none passes unseen. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <linux/capability.h>
#include <cmocka.h>

#include "unit_file.h"
#include "unit_keys.h"

static char noticed[2048];

static void say(void *arg, const char *text)
{
	(void)arg;
	snprintf(noticed + strlen(noticed), sizeof(noticed) - strlen(noticed), "%s\n", text);
}

static const struct unit_notices notices = { .say = say };

static int parse(struct unit_file **u, const char *text, struct err *e)
{
	e->text[0] = noticed[0] = '\0';
	return unit_file_new(u, span_str(text), "units/app.container", &notices, e);
}

#define HEAD "[Container]\nImage=registry.test:5000/a/b:1\n"

static void everything_has_a_default(void **state)
{
	struct unit_file *u;
	struct err e;

	(void)state;
	assert_int_equal(parse(&u, HEAD, &e), 0);
	assert_string_equal(u->name, "app");
	assert_string_equal(u->image, "registry.test:5000/a/b:1");
	assert_true(u->memory_max > 0 && u->pids_max > 0 && u->is_read_only && u->has_tmpfs && u->is_enabled);
	assert_true(!u->has_new_privileges && u->cap_add == 0 && u->network == UNIT_NETWORK_NONE && !u->seccomp);
	assert_int_equal(u->restart, UNIT_RESTART_NO);
	assert_int_equal(u->swap_max, 0);
	unit_file_free(u);
}

static void values_arrive(void **state)
{
	struct unit_file *u;
	struct err e;

	(void)state;
	assert_int_equal(parse(&u,
		"[Unit]\nDescription=An  app\nAfter=db.service other.container network.target\nStartLimitBurst=3\nStartLimitIntervalSec=1min\n"
		"[Container]\nImage=docker://r.test/a@sha256:0000\nExec=run \"two words\" $$x\nEntrypoint=[\"/a b\", \"c\"]\n"
		"Environment=A=1 \"B=x y\"\nEnvironment=C=%n\nUser=1000:apps\nGroupAdd=dialout 20\nWorkingDir=/srv\nHostName=box\nNetwork=host\n"
		"AddCapability=CAP_NET_ADMIN sys_time\nDropCapability=CAP_SYS_TIME\nNoNewPrivileges=false\nSeccompProfile=unconfined\nMemory=16m\n"
		"PidsLimit=9\nShmSize=1m\nStopSignal=SIGRTMIN+2\nStopTimeout=3\nPull=always\nMask=/proc/a:/proc/b\nUnmask=ALL\n"
		"[Service]\nRestart=on-failure\nRestartSec=500ms\nRestartMaxDelaySec=10\n"
		"[X-Coracle]\nCritical=yes\nRefuseSecrets=yes\nEnabled=no\nCpuQuota=150%\nCpuWeight=50\nOomScoreAdjust=-5\nMemorySwapMax=1m\n", &e), 0);
	assert_string_equal(u->description, "An  app");
	assert_int_equal(u->after.count, 2);
	assert_string_equal(u->after.at[0], "db");
	assert_string_equal(u->after.at[1], "other");
	assert_int_equal(u->start_limit_burst, 3);
	assert_int_equal(u->start_limit_interval_ms, 60000);
	assert_string_equal(u->image, "r.test/a@sha256:0000");
	assert_int_equal(u->exec.count, 3);
	assert_string_equal(u->exec.at[1], "two words");
	assert_string_equal(u->exec.at[2], "$x");
	assert_int_equal(u->entrypoint.count, 2);
	assert_string_equal(u->entrypoint.at[0], "/a b");
	assert_int_equal(u->environment.count, 3);
	assert_string_equal(u->environment.at[1], "B=x y");
	assert_string_equal(u->environment.at[2], "C=app.service");
	assert_string_equal(u->user, "1000");
	assert_string_equal(u->group, "apps");
	assert_int_equal(u->groups.count, 2);
	assert_int_equal(u->network, UNIT_NETWORK_HOST);
	assert_int_equal(u->cap_add & ~u->cap_drop, 1ull << CAP_NET_ADMIN);
	assert_true(u->has_new_privileges);
	assert_int_equal(u->memory_max, 16 << 20);
	assert_int_equal(u->pids_max, 9);
	assert_int_equal(u->stop_signal, 36);
	assert_int_equal(u->timeout_stop_ms, 3000);
	assert_int_equal(u->pull, UNIT_PULL_ALWAYS);
	assert_int_equal(u->mask.count, 2);
	assert_int_equal(u->restart, UNIT_RESTART_ON_FAILURE);
	assert_int_equal(u->restart_sec_ms, 500);
	assert_int_equal(u->restart_max_sec_ms, 10000);
	assert_true(u->is_critical && !u->is_enabled && u->refuses_secrets);
	assert_int_equal(u->cpu_percent, 150);
	assert_int_equal(u->oom_score_adj, -5);
	assert_int_equal(u->swap_max, 1 << 20);
	unit_file_free(u);
}

static void bad_ones_say_where_and_what(void **state)
{
	static const struct {
		const char *text, *want;
	} bad[] = {
		{ HEAD "Imagee=x\n", "units/app.container:3: unknown key Imagee= in [Container]; did you mean Image=?" },
		{ HEAD "CpuQuota=50%\n", "did you mean CpuQuota= in [X-Coracle]?" },
		{ HEAD "RestartSec=1\n", "did you mean RestartSec= in [Service]?" },
		{ HEAD "Wibblewobblewub=1\n", "docs/unit-keys.md lists all" },
		{ HEAD "[Contaner]\nx=1\n", "unknown section [Contaner]" },
		{ HEAD "PublishPort=80:80\n", "units/app.container: PublishPort=, DNS=, DNSSearch=, DNSOption=, AddHost=, NetworkAlias=, IP= and IP6= are for Network=bridge" },
		{ HEAD "Network=bridge\nPublishPort=80:80/sctp\n", "units/app.container:4: PublishPort=: 80:80/sctp: tcp or udp" },
		{ HEAD "Network=bridge\nPublishPort=0:80\n", "PublishPort=0:80: takes [ADDRESS:]PORT:PORT" },
		{ HEAD "Network=bridge\nPublishPort=1.2.3:80:80\n", "takes [ADDRESS:]PORT:PORT" },
		{ HEAD "Network=bridge\nPublishPort=1000-2000:3000-4000\n", "has at most 64 ports" },
		{ HEAD "Network=bridge\nIP=::1\n", "IP=::1: takes an IPv4 address" },
		{ HEAD "Network=bridge\nDNS=1.1.1.1 x\n", "takes addresses of name servers" },
		{ HEAD "Network=../x.network\n", "takes none, host, bridge, or NAME.network" },
		{ HEAD "Network=a.network:ip=10.0.0.1\n", "options of a network are keys of their own here" },
		{ HEAD "PodmanArgs=--privileged\n", "PodmanArgs= is not supported" },
		{ HEAD "Memory=lots\n", "Memory=lots: takes a size like 64m" },
		{ HEAD "Memory=1k\n", "takes a size like 64m of at least 256k" },
		{ HEAD "PidsLimit=0\n", "takes a number from 1" },
		{ HEAD "PidsLimit=-1\n", "takes a number from 1" },
		{ HEAD "User=4294967296\n", "User=4294967296: takes" },
		{ HEAD "User=-1\n", NULL },
		{ HEAD "UserNS=keep-id\n", "a range of ids of its own" },
		{ HEAD "Network=slirp4netns\n", "units/app.container:3: Network=: slirp4netns: takes none, host, bridge, or NAME.network" },
		{ HEAD "ReadOnly=false\n", "always read-only" },
		{ HEAD "AddCapability=CAP_EVERYTHING\n", "CAP_EVERYTHING: no capability of that name" },
		{ HEAD "AddCapability=all\n", "would open every device" },
		{ HEAD "AddCapability=CAP_MKNOD\n", "would open every device" },
		{ HEAD "Volume=data.volume:/d\n", "write a plain name, Volume=data:/d" },
		{ HEAD "Volume=../x:/d\n", "Volume=../x:/d: takes NAME:PATH" },
		{ HEAD "Volume=/:/host\n", "takes NAME:PATH" },
		{ HEAD "Volume=a:/x/../y\n", "takes NAME:PATH" },
		{ HEAD "Volume=/data\n", "Tmpfs=/data" },
		{ HEAD "Tmpfs=relative\n", "takes PATH[:OPTIONS]" },
		{ HEAD "Environment=1A=x\n", "takes NAME=VALUE words" },
		{ HEAD "Environment=novalue\n", "takes NAME=VALUE words" },
		{ HEAD "Exec=\"open\n", "takes words" },
		{ HEAD "Exec=a %i\n", "%i is not supported" },
		{ HEAD "StopSignal=SIGWHAT\n", "takes the name or number of a signal" },
		{ HEAD "Pull=sometimes\n", "takes missing" },
		{ HEAD "[Service]\nRestart=maybe\n", "takes no (the default), on-success" },
		{ HEAD "[Service]\nExecStartPre=/bin/x\n", "ExecStartPre= is not supported: no program of the host" },
		{ HEAD "[Service]\nType=forking\n", "Type=forking: takes simple" },
		{ HEAD "[Service]\nRestartSec=10\nRestartMaxDelaySec=5\n", "is less than RestartSec=" },
		{ HEAD "[Unit]\nAfter=x.mount\n", "only .container, .service and .target units exist here" },
		{ HEAD "[X-Coracle]\nCpuQuota=0%\n", "takes percent" },
		{ "[Container]\nExec=x\n", "has no Image=" },
		{ "[Container]\nImage=nginx\n", "takes REGISTRY[:PORT]/REPOSITORY" },
		{ "[Container]\nImage=library/nginx\n", "takes REGISTRY[:PORT]/REPOSITORY" },
		{ "[Container]\nImage=r.test/a b\n", "takes REGISTRY" },
		{ "[Container]\nImage=x.image\n", "name the image itself" },
		{ "[Container]\nImage=\n", "has no Image=" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct unit_file *u;
		struct err e;
		int r = parse(&u, bad[i].text, &e);

		if (r >= 0 || (bad[i].want && !strstr(e.text, bad[i].want)))
			fail_msg("%s -> %d %s", bad[i].text, r, e.text);
		unit_file_free(u);
	}
}

static void accepted_keys_are_noticed(void **state)
{
	struct unit_file *u;
	struct err e;

	(void)state;
	assert_int_equal(parse(&u, HEAD "LogDriver=journald\n[Install]\nWantedBy=default.target\n", &e), 0);
	assert_non_null(strstr(noticed, "units/app.container:3: LogDriver= has no effect: "));
	assert_non_null(strstr(noticed, "units/app.container:5: WantedBy= has no effect: "));
	unit_file_free(u);
}

static void empty_value_resets(void **state)
{
	struct unit_file *u, *plain;
	struct err e;

	(void)state;
	assert_int_equal(parse(&u, HEAD "Environment=A=1\nEnvironment=\nEnvironment=B=2\nMemory=1m\nMemory=\nAddCapability=CAP_KILL\n"
		"AddCapability=\nExec=a\nExec=\nUser=x\nUser=\nStopTimeout=3\nStopTimeout=\n", &e), 0);
	assert_int_equal(parse(&plain, HEAD, &e), 0);
	assert_int_equal(u->environment.count, 1);
	assert_string_equal(u->environment.at[0], "B=2");
	assert_int_equal(u->memory_max, plain->memory_max);
	assert_int_equal(u->timeout_stop_ms, plain->timeout_stop_ms);
	assert_true(u->cap_add == 0 && !u->has_exec && !u->user);
	unit_file_free(u);
	unit_file_free(plain);
}

/* Each honoured key can be given empty and never with a control character where names are expected; each other says why. */
static void table_is_sound(void **state)
{
	(void)state;
	for (size_t i = 0; unit_keys_at(i); i++) {
		const struct unit_key *k = unit_keys_at(i);
		struct unit_file *u;
		char text[256];
		struct err e;

		assert_ptr_equal(unit_keys_find(k->section, k->name), k);	/* no key twice */
		assert_true(strlen(k->text) > 5);
		assert_true((k->kind == UNIT_KEY_HONOURED) == (k->set != NULL));
		snprintf(text, sizeof(text), "[%s]\n%s=\n" HEAD, k->section, k->name);
		if (parse(&u, text, &e) != (k->kind == UNIT_KEY_REFUSED ? -ENOTSUP : 0))
			fail_msg("[%s] %s=: %s", k->section, k->name, e.text);
		unit_file_free(u);
	}
}

static void names_of_files(void **state)
{
	static const struct {
		const char *path, *want;
	} bad[] = {
		{ "a@.container", "templates" }, { "a b.container", "letters, digits" }, { ".container", "ends in" }, { "x.conf", "ends in" },
		{ "-a.container", "letters" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.container", "longer than" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct unit_file *u;
		struct err e = { "" };

		assert_true(unit_file_new(&u, span_str(HEAD), bad[i].path, NULL, &e) < 0);
		if (!strstr(e.text, bad[i].want))
			fail_msg("%s", e.text);
		unit_file_free(u);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_has_a_default),
		cmocka_unit_test(values_arrive),
		cmocka_unit_test(bad_ones_say_where_and_what),
		cmocka_unit_test(accepted_keys_are_noticed),
		cmocka_unit_test(empty_value_resets),
		cmocka_unit_test(table_is_sound),
		cmocka_unit_test(names_of_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
