/* SPDX-License-Identifier: MIT */
/* Any bytes as state/ids: id_range.c, included for its statics. What it takes out of them is in bounds, and a unit that is asked for gets a range that
 * no other has, and the same one from what would be written. */
#include "id_range.c"

int store_fd(const struct store *s)
{
	(void)s;
	return -1;
}

const struct seal *store_seal(const struct store *s)
{
	(void)s;
	return NULL;
}

int seal_check(const struct seal *s, const char *kind, const char *name, struct span text)
{
	(void)s, (void)kind, (void)name, (void)text;
	return 0;
}

void seal_line(const struct seal *s, const char *kind, const char *name, struct span text, char out[SEAL_LINE_MAX])
{
	(void)s, (void)kind, (void)name, (void)text;
	out[0] = '\0';
}

void compile_note(const char *fmt, ...)
{
	(void)fmt;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ranges all;
	char *text = malloc(size + sizeof(first_line));
	struct err e = { "" };
	uint32_t range = 0, again = 0, count;

	/* The first line as it should be for every other input. */
	memcpy(text, first_line, sizeof(first_line));
	memcpy(text + (size & 1 ? sizeof(first_line) - 1 : 0), data, size);
	text[size + (size & 1 ? sizeof(first_line) - 1 : 0)] = '\0';
	memset(&all, 0, sizeof(all));
	take_text(&all, text);
	if (all.count > ID_RANGE_UNITS_MAX)
		abort();
	for (uint32_t i = 0; i < all.count; i++)
		if (all.at[i].range >= RANGES || strlen(all.at[i].name) >= UNIT_NAME_MAX)
			abort();
	count = all.count;
	if (find(NULL, &all, "fuzzed", &range, &e) == 0 && all.count == count + 1)
		for (uint32_t i = 0; i < count; i++)
			if (all.at[i].range == range)
				abort();
	if (all.count && !e.text[0] && (find(NULL, &all, "fuzzed", &again, &e) < 0 || again != range))
		abort();
	free(text);
	return 0;
}
