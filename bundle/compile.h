/* SPDX-License-Identifier: MIT */
/*
 * config.json (OCI runtime-spec 1.x, Linux) -> run record. Everything that a start would have to parse, look up or decide
 * is settled here, once. Whatever the record cannot express is an error that names the JSON path (-ENOTSUP); properties that no
 * version of the specification knows are ignored, as it demands ("Extensibility").
 */
#ifndef CORACLE_COMPILE_H
#define CORACLE_COMPILE_H

#include "record_build.h"

enum { COMPILE_CONFIG_MAX = 1 << 20 };

/* Compiles the bundle whose directory is open at DIR and lies at the absolute PATH. Its rootfs is what the file `layers` beside config.json
 * names (bundle_layers.h), else root.path. Reads files only; changes nothing. Notes about what is weaker go to stderr. */
int compile_bundle(int dir, const char *path, struct record_build *out, struct err *e);

/* The same from CONFIG, the text of a config.json that may not be on disk (yet), and LAYERS or NULL. */
struct bundle_layers;
int compile_config(struct span config, const struct bundle_layers *layers, const char *path, struct record_build *out, struct err *e);

/* "record.2.0123456789abcdef" */
enum { COMPILE_NAME_MAX = 48 };
void compile_record_name(const struct record_head *r, char out[COMPILE_NAME_MAX]);

#endif
