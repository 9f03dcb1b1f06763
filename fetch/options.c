/* SPDX-License-Identifier: MIT */
/* Reads a command line: the operator's, or PID 1's. */
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(const char *command, const char *what)
{
	fprintf(stderr, "coracle-fetch %s: %s\n"
		"  coracle-fetch %s [--store DIR] [--policy FILE] [--authfile FILE] [--cert-dir DIR]\n"
		"    [--platform OS/ARCH[/VARIANT]] [--json] REF\n"
		"  REF: [docker://]HOST/REPO[:TAG][@DIGEST], oci:DIRECTORY[:NAME], oci-archive:FILE[:NAME]\n", command, what, command);
	return 2;
}

/* One option with its value; false where it is none of ours. */
static bool take(struct options *o, const char *name, const char *value, struct err *e)
{
	const struct { const char *name; const char **to; } texts[] = {
		{ "--store", &o->store_dir }, { "--policy", &o->policy_file }, { "--authfile", &o->access.auth_file },
		{ "--cert-dir", &o->access.cert_dir },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (strcmp(name, texts[i].name) == 0) {
			*texts[i].to = value;
			return true;
		}
	if (strcmp(name, "--result-fd") == 0)
		o->result_fd = atoi(value);
	else if (strcmp(name, "--platform") == 0)
		platform_parse(value, &o->platform, e);
	else
		return false;
	return true;
}

int options_parse(int argc, char **argv, struct options *o)
{
	struct err e = { "" };

	*o = (struct options){
		.command = argv[0], .store_dir = "/data", .policy_file = "/etc/coracle/policy.json", .result_fd = -1,
		.access = { .exe = -1, .auth_file = "/etc/coracle/auth.json", .cert_dir = "/etc/coracle/certs.d", .store_fd = -1 },
		.platform = platform_host(),
	};
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--", 2) != 0) {
			if (o->text)
				return usage(argv[0], "more than one reference");
			o->text = argv[i];
		} else if (strcmp(argv[i], "--json") == 0) {
			o->is_json = true;
		} else if (i + 1 == argc || !take(o, argv[i], argv[i + 1], &e)) {
			return usage(argv[0], argv[i]);
		} else {
			i++;
		}
	}
	if (e.text[0] || !o->text)
		return usage(argv[0], e.text[0] ? e.text : "no reference");
	if (o->result_fd >= 0)
		fcntl(o->result_fd, F_SETFD, FD_CLOEXEC);
	o->access.exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	return 0;
}

int options_load(const struct options *o, struct ref *ref, struct policy *policy, struct err *e)
{
	int r = ref_parse(o->text, ref, e);

	return r < 0 ? r : policy_load(o->policy_file, ref, policy, e);
}
