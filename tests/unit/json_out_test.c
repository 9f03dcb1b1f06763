/* SPDX-License-Identifier: MIT */
/* bundle/json_out.c against yyjson, a strict reader. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>
#include <cmocka.h>

#include "json_out.h"

static void document(void **state)
{
	static const char *const texts[] = { "a", "b\"\\\n\x7f", NULL };
	struct json_out o = { .at = NULL };
	char *text;
	size_t len;

	(void)state;
	json_out_object(&o, NULL);
	json_out_uint(&o, "u", UINT64_MAX);
	json_out_int(&o, "i", INT64_MIN);
	json_out_bool(&o, "b", true);
	json_out_array(&o, "empty");
	json_out_close(&o, ']');
	json_out_texts(&o, "t", texts);
	json_out_object(&o, "k\"ey");
	json_out_raw(&o, "r", "[1]", 3);
	json_out_close(&o, '}');
	json_out_text(&o, "e", "");
	json_out_close(&o, '}');
	assert_int_equal(json_out_end(&o, &text, &len), 0);
	assert_int_equal(strlen(text), len);
	assert_string_equal(text, "{\n  \"u\": 18446744073709551615,\n  \"i\": -9223372036854775808,\n  \"b\": true,\n  \"empty\": [],\n"
		"  \"t\": [\n    \"a\",\n    \"b\\\"\\\\\\u000a\\u007f\"\n  ],\n  \"k\\\"ey\": {\n    \"r\": [1]\n  },\n  \"e\": \"\"\n}\n");
	free(text);
}

/* One to four bytes of every kind: what we take, yyjson takes and gives back; what we refuse, it refuses. */
static void utf8_as_the_reader_has_it(void **state)
{
	static const unsigned char edges[] = { 0x01, 0x1f, 0x22, 0x5c, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0,
		0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff, 0x41 };
	size_t n = sizeof(edges), taken = 0, refused = 0;

	(void)state;
	for (size_t i = 0; i < n * n * n * n; i++) {
		const char word[] = { (char)edges[i % n], (char)edges[i / n % n], (char)edges[i / n / n % n], (char)edges[i / n / n / n], 0 };
		struct json_out o = { .at = NULL };
		char raw[16] = "\"";
		yyjson_doc *doc;
		char *text;
		size_t len;
		int r;

		json_out_text(&o, NULL, word);
		r = json_out_end(&o, &text, &len);
		if (r == 0) {
			taken++;
			doc = yyjson_read(text, len, 0);
			assert_true(yyjson_equals_str(yyjson_doc_get_root(doc), word));
			yyjson_doc_free(doc);
			free(text);
		} else {
			refused++;
			assert_int_equal(r, -EILSEQ);
			assert_null(text);
			memcpy(raw + 1, word, 4);
			raw[5] = '"';
			assert_null(yyjson_read(raw, 6, 0));
		}
	}
	assert_true(taken > 1000 && refused > 1000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(document),
		cmocka_unit_test(utf8_as_the_reader_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
