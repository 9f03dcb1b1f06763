/* SPDX-License-Identifier: MIT */
/* Input: a manifest and claims that a signature covers; the board's own name. */
#include "rollout.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yyjson.h>

#include "device_id.h"
#include "sha256.h"

unsigned rollout_read(struct yyjson_val *value)
{
	const char *text = yyjson_get_str(value);
	char number[16];
	unsigned n = 0, decimals = 0;

	if (!value)
		return ROLLOUT_ALL;
	if (yyjson_is_uint(value)) {
		snprintf(number, sizeof(number), "%u", yyjson_get_uint(value) > 101 ? 101 : (unsigned)yyjson_get_uint(value));
		text = number;
	}
	if (!text || *text < '0' || *text > '9')
		return 0;
	for (; *text >= '0' && *text <= '9' && n <= 100; text++)
		n = n * 10 + (unsigned)(*text - '0');
	n *= 100;
	if (*text == '.')
		for (text++; *text >= '0' && *text <= '9' && decimals < 2; text++)
			n += (unsigned)(*text - '0') * (decimals++ ? 1 : 10);
	return *text || n > ROLLOUT_ALL ? 0 : n;
}

unsigned rollout_place(const char *device, const char *repository)
{
	char text[1200];
	struct digest d;
	uint32_t n = 0;

	snprintf(text, sizeof(text), "%s\n%s", device, repository);
	d = sha256_of(span_str(text));
	for (int i = 0; i < 4; i++)
		n = n << 8 | d.sha256[i];
	return n % ROLLOUT_ALL;
}

int rollout_check(const struct find *f, const struct ref *ref, struct err *e)
{
	yyjson_doc *doc = yyjson_read(f->manifest_json, f->manifest_len, 0);
	unsigned share = rollout_read(yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "annotations"), ROLLOUT_CLAIM));
	char device[DEVICE_ID_MAX], name[1024];
	unsigned place = ROLLOUT_ALL - 1;

	yyjson_doc_free(doc);
	if (f->admitted.rollout < share)
		share = f->admitted.rollout;
	if (share >= ROLLOUT_ALL)
		return 0;
	ref_name(ref, name, sizeof(name));
	if (device_id(device))
		place = rollout_place(device, name);
	if (place < share)
		return 0;
	return err_set(e, -EALREADY, "it is signed for %u.%02u %% of the boards, and this one stands at %u.%02u: not yet", share / 100, share % 100,
		place / 100, place % 100);
}
