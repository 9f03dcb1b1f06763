/* SPDX-License-Identifier: MIT */
/* What the parts of the compiler share. Each part takes its objects out of config.json and fills its fields of the head; 0 or a negative
 * code with the text in c->e. */
#ifndef CORACLE_COMPILE_INNER_H
#define CORACLE_COMPILE_INNER_H

#include "bundle_layers.h"
#include "compile.h"
#include "jv.h"

struct compile {
	struct record_build *b;
	struct record_head *head;
	struct jv root;
	const char *path;		/* of the bundle, absolute */
	const struct bundle_layers *layers;	/* NULL: root.path is a directory */
	struct err *e;
};

int compile_process(struct compile *c);
int compile_root(struct compile *c);
int compile_mounts(struct compile *c);
int compile_namespaces(struct compile *c);
int compile_linux(struct compile *c);
int compile_resources(struct compile *c, const struct jv *resources);
int compile_devices(struct compile *c, const struct jv *resources);
int compile_seccomp(struct compile *c, const struct jv *seccomp);

/* An array of strings into a list of struct record_str. */
int compile_strings(struct compile *c, const struct jv *j, size_t max, struct record_list *list);

/* One line on stderr: something is weaker or other than the file says. */
void compile_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
