/* SPDX-License-Identifier: MIT */
/*
 * What a pull shows while it runs: a bar on a terminal, plain lines elsewhere, with --json one JSON object a line on stdout, and PID 1's job messages.
 *
 *   {"event":"step","text":"..."}                                                   signature checked, a new try, a mirror left out
 *   {"event":"progress","layer":2,"layers":5,"bytes":123,"total":456,"bytes_per_second":789}
 *   {"event":"done","digest":"sha256:...","signer":"..."}                           or {"event":"failed","code":"retry","text":"..."}; code also refused, damaged, later
 */
#ifndef CORACLE_PROGRESS_H
#define CORACLE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	int result_fd;
	bool is_terminal, is_json;
	size_t layer, layers;		/* the one being fetched, from 1; of how many that were missing */
	uint64_t done, total;		/* bytes of compressed layers */
	uint64_t rate;			/* bytes a second, smoothed */
	uint64_t mark;			/* DONE when the rate was worked out last */
	int64_t mark_ms, shown_ms;
	int drawn;			/* columns of the bar that stands there */
};

void progress_init(struct progress *p, int result_fd, bool is_json);
/* One step, as a line. */
void progress_say(void *progress, const char *line);
/* LEN more bytes, from the link or, IS_KEPT, from what an earlier pull left. Draws a few times a second. */
void progress_add(struct progress *p, size_t len, bool is_kept);
/* The last word. DIGEST where it is done; CODE and TEXT where it failed. The one line on stderr and the digest on stdout are its, too. */
void progress_done(struct progress *p, const char *digest, const char *signer);
void progress_failed(struct progress *p, const char *reference, const char *code, const char *text);

#endif
