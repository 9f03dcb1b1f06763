/* SPDX-License-Identifier: MIT */
/* Makes and checks the codes of seal.h. Texts come from the data partition and are believed in nothing. */
#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/platform_util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "sha256.h"

#define DEFAULT_FILE "/etc/coracle/store.key"

enum { KEY_MIN = 16, KEY_MAX = 4096, HMAC_BLOCK = 64, LINE_LEN = 4 + DIGEST_HEX_LEN + 1 };

int seal_load(struct seal *s, struct err *e)
{
	const char *own = getenv("CORACLE_STORE_KEY"), *path = own ? own : DEFAULT_FILE;
	char *text;
	size_t len;
	int r;

	memset(s, 0, sizeof(*s));
	if (!own && access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = file_read(AT_FDCWD, path, KEY_MAX, &text, &len, e);
	if (r < 0)
		return err_prefix(e, r, "the key of the store");
	if (len < KEY_MIN) {
		r = err_set(e, -EINVAL, "%s: a key of the store has at least %d bytes: head -c 32 /dev/random > %s", path, KEY_MIN, path);
	} else {
		s->key = sha256_of(span_of(text, len));
		s->is_there = true;
	}
	mbedtls_platform_zeroize(text, len);
	free(text);
	return r;
}

void seal_wipe(struct seal *s)
{
	mbedtls_platform_zeroize(s, sizeof(*s));
}

/* RFC 2104 over KIND and NAME, each with its NUL, and TEXT: no kind's code serves for another. */
static struct digest code(const struct seal *s, const char *kind, const char *name, struct span text)
{
	uint8_t pad[HMAC_BLOCK];
	struct digest inner;
	struct sha256 h;

	memset(pad, 0x36, sizeof(pad));
	for (size_t i = 0; i < sizeof(s->key.sha256); i++)
		pad[i] ^= s->key.sha256[i];
	sha256_begin(&h);
	sha256_add(&h, pad, sizeof(pad));
	sha256_add(&h, kind, strlen(kind) + 1);
	sha256_add(&h, name, strlen(name) + 1);
	sha256_add(&h, text.at, text.len);
	inner = sha256_end(&h);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	sha256_begin(&h);
	sha256_add(&h, pad, sizeof(pad));
	sha256_add(&h, inner.sha256, sizeof(inner.sha256));
	mbedtls_platform_zeroize(pad, sizeof(pad));
	return sha256_end(&h);
}

void seal_line(const struct seal *s, const char *kind, const char *name, struct span text, char out[SEAL_LINE_MAX])
{
	struct digest d;

	out[0] = '\0';
	if (!s->is_there)
		return;
	d = code(s, kind, name, text);
	snprintf(out, SEAL_LINE_MAX, "mac=%s\n", digest_text(&d).text + 7);
}

struct span seal_body(struct span text)
{
	size_t at = text.len;

	if (text.len < LINE_LEN || memcmp(text.at + text.len - LINE_LEN, "mac=", 4) != 0 || text.at[text.len - 1] != '\n')
		return text;
	at -= LINE_LEN;
	if (at && text.at[at - 1] == '#')
		at--;
	return at && text.at[at - 1] != '\n' ? text : span_of(text.at, at);
}

int seal_check(const struct seal *s, const char *kind, const char *name, struct span text)
{
	struct span body = seal_body(text);
	char want[SEAL_LINE_MAX];
	uint8_t differ = 0;

	if (!s->is_there)
		return 0;
	if (body.len == text.len)
		return -EKEYREJECTED;
	seal_line(s, kind, name, body, want);
	for (size_t i = 0; i < LINE_LEN; i++)	/* takes as long wherever they differ */
		differ |= (uint8_t)want[i] ^ (uint8_t)text.at[text.len - LINE_LEN + i];
	return differ ? -EKEYREJECTED : 0;
}
