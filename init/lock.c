/* SPDX-License-Identifier: MIT */
/*
 * crypt(3) would bring DES, MD5 and Blowfish with it; of the C library's hashes only the one that is used here is linked. Compared in
 * constant time.
 */
#include "lock.h"

#include <string.h>

enum { HASH_LEN = 43, OUT_MAX = 128 };

/* musl, src/crypt/crypt_sha256.c. */
char *__crypt_sha256(const char *key, const char *setting, char *output);

bool lock_is_hash(const char *text)
{
	const char *last = strrchr(text, '$');
	size_t len = strlen(text);

	return len < OUT_MAX && !strncmp(text, "$5$", 3) && last > text + 3 && strlen(last + 1) == HASH_LEN &&
		strspn(text, "$=./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == len;
}

bool lock_opens(const char *hash, const char *secret)
{
	char out[OUT_MAX] = "";
	unsigned char differs = 0;
	const char *made;

	if (!lock_is_hash(hash))
		return false;
	made = __crypt_sha256(secret, hash, out);
	if (!made || strlen(made) != strlen(hash))
		return false;
	for (size_t i = 0; hash[i]; i++)
		differs |= (unsigned char)(hash[i] ^ made[i]);
	return !differs;
}
