/* SPDX-License-Identifier: MIT */
/* Reads a command line: the operator's, or PID 1's. */
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "seal.h"

static int usage(const char *command, const char *what)
{
	fprintf(stderr, "coracle-fetch %s: %s\n"
		"  coracle-fetch %s [--store DIR] [--policy FILE] [--authfile FILE] [--cert-dir DIR] [--own-cert-dir DIR]\n"
		"    [--registries-conf FILE] [--proxy-conf FILE] [--platform OS/ARCH[/VARIANT]] [--tries N]\n"
		"    [--stall-timeout SECONDS] [--timeout SECONDS] [--limit-rate BYTES_A_SECOND] [--no-partial] [--refuse-secrets] [--preload FILE] [--json] REF\n"
		"  REF: [docker://]HOST/REPO[:TAG][@DIGEST], oci:DIRECTORY[:NAME], oci-archive:FILE[:NAME]\n", command, what, command);
	return 2;
}

/* One option with its value; false where it is none of ours. */
static bool take(struct options *o, const char *name, const char *value, struct err *e)
{
	const struct { const char *name; const char **to; } texts[] = {
		{ "--store", &o->store_dir }, { "--policy", &o->policy_file }, { "--authfile", &o->access.auth_file },
		{ "--cert-dir", &o->access.cert_dir }, { "--own-cert-dir", &o->access.own_cert_dir }, { "--registries-conf", &o->access.registries_file },
		{ "--proxy-conf", &o->access.proxy_file }, { "--preload", &o->preload }, { "--as", &o->as }, { "--trust", &o->trust },
	};
	const struct { const char *name; unsigned *to, min; } numbers[] = {
		{ "--tries", &o->access.tries, 1 }, { "--stall-timeout", &o->access.stall_s, 1 }, { "--timeout", &o->total_s, 0 },
		{ "--limit-rate", &o->access.rate_max, 0 },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (strcmp(name, texts[i].name) == 0) {
			*texts[i].to = value;
			return true;
		}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (strcmp(name, numbers[i].name) == 0) {
			char *end;
			unsigned long n = strtoul(value, &end, 10);

			if (*value < '0' || *value > '9' || *end || n < numbers[i].min || n > INT32_MAX)
				err_set(e, -EINVAL, "%s %s: not a number, or out of range", name, value);
			*numbers[i].to = (unsigned)n;
			return true;
		}
	if (strcmp(name, "--result-fd") == 0)
		o->result_fd = atoi(value);
	else if (strcmp(name, "--floor") == 0)
		o->floor = strtoull(value, NULL, 10);
	else if (strcmp(name, "--known") == 0)
		return o->known_count < OPTIONS_KNOWN_MAX && digest_parse(span_str(value), &o->known[o->known_count++]) == 0;
	else if (strcmp(name, "--platform") == 0)
		platform_parse(value, &o->platform, e);
	else
		return false;
	return true;
}

/* What a release says of trust comes before what the board was made with. */
static void use_trust(struct options *o)
{
	static char policy[4200], certs[4200];
	struct seal seal = { .is_there = false };
	bool is_believed = o->trust && seal_load(&seal, NULL) == 0 && !seal.is_there;

	/* Whoever holds the disk could have written it, where that is guarded against. */
	seal_wipe(&seal);
	if (!is_believed)
		return;
	snprintf(policy, sizeof(policy), "%s/policy.json", o->trust);
	snprintf(certs, sizeof(certs), "%s/certs.d", o->trust);
	if (access(policy, F_OK) == 0)
		o->policy_file = policy;
	o->access.cert_dir_first = certs;
}

int options_parse(int argc, char **argv, struct options *o)
{
	struct err e = { "" };

	*o = (struct options){
		.command = argv[0], .store_dir = "/data", .policy_file = "/etc/coracle/policy.json", .result_fd = -1,
		.access = { .exe = -1, .auth_file = "/etc/coracle/auth.json", .cert_dir = "/etc/coracle/certs.d", .store_fd = -1,
			.registries_file = "/etc/coracle/registries.conf", .proxy_file = "/etc/coracle/proxy.conf",
			.stall_s = CONFIG_FETCH_STALL_S, .tries = CONFIG_FETCH_TRIES },
		.total_s = CONFIG_FETCH_TOTAL_S,
		.platform = platform_host(),
	};
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--", 2) != 0) {
			if (o->text)
				return usage(argv[0], "more than one reference");
			o->text = argv[i];
		} else if (strcmp(argv[i], "--json") == 0) {
			o->is_json = true;
		} else if (strcmp(argv[i], "--dry") == 0) {
			o->is_dry = true;
		} else if (strcmp(argv[i], "--no-partial") == 0) {
			o->no_partial = true;
		} else if (strcmp(argv[i], "--refuse-secrets") == 0) {
			o->refuses_secrets = true;
		} else if (strcmp(argv[i], "--staged") == 0) {
			o->is_staged = true;
		} else if (i + 1 == argc || !take(o, argv[i], argv[i + 1], &e)) {
			return usage(argv[0], argv[i]);
		} else {
			i++;
		}
	}
	if (e.text[0] || !o->text)
		return usage(argv[0], e.text[0] ? e.text : "no reference");
	use_trust(o);
	if (o->result_fd >= 0)
		fcntl(o->result_fd, F_SETFD, FD_CLOEXEC);
	if (o->total_s)
		o->access.deadline_ms = link_now_ms() + 1000 * (int64_t)o->total_s;
	o->access.exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	return 0;
}

int options_load(const struct options *o, struct ref *ref, struct policy *policy, struct err *e)
{
	struct ref as;
	int r = ref_parse(o->text, ref, e);

	if (r == 0 && o->as)
		r = ref_parse(o->as, &as, e);
	return r < 0 ? r : policy_load(o->policy_file, o->as ? &as : ref, policy, e);
}
