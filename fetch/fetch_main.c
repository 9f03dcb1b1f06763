/* SPDX-License-Identifier: MIT */
/* coracle-fetch: pulls signed images from OCI registries into the store. Its jails are itself, re-executed. */
#include <mbedtls/aes.h>
#include <mbedtls/cipher.h>
#include <mbedtls/gcm.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "ahead.h"
#include "attend.h"
#include "check.h"
#include "config.h"
#include "gcm.h"
#include "inspect.h"
#include "judge.h"
#include "layout.h"
#include "net.h"
#include "pull.h"
#include "resolve.h"

/* The linker puts __wrap_X in the place of X (--wrap), which is __real_X. */
int __wrap_mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *g, size_t len, const unsigned char *iv, size_t iv_len, const unsigned char *more,
	size_t more_len, const unsigned char *tag, size_t tag_len, const unsigned char *in, unsigned char *out);
int __real_mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *g, size_t len, const unsigned char *iv, size_t iv_len, const unsigned char *more,
	size_t more_len, const unsigned char *tag, size_t tag_len, const unsigned char *in, unsigned char *out);

int __wrap_mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *g, size_t len, const unsigned char *iv, size_t iv_len, const unsigned char *more,
	size_t more_len, const unsigned char *tag, size_t tag_len, const unsigned char *in, unsigned char *out)
{
	const mbedtls_cipher_context_t *c = &g->MBEDTLS_PRIVATE(cipher_ctx);
	const mbedtls_aes_context *aes = c->MBEDTLS_PRIVATE(cipher_ctx);
	mbedtls_cipher_type_t type = mbedtls_cipher_get_type(c);

	if (!gcm_is_there() || iv_len != 12 || tag_len != 16 || (type != MBEDTLS_CIPHER_AES_128_ECB && type != MBEDTLS_CIPHER_AES_256_ECB))
		return __real_mbedtls_gcm_auth_decrypt(g, len, iv, iv_len, more, more_len, tag, tag_len, in, out);
	return gcm_open((const uint8_t *)(aes->MBEDTLS_PRIVATE(buf) + aes->MBEDTLS_PRIVATE(rk_offset)), aes->MBEDTLS_PRIVATE(nr), iv, more, more_len,
		tag, in, out, len) ? 0 : MBEDTLS_ERR_GCM_AUTH_FAILED;
}

ssize_t __wrap_recv(int fd, void *to, size_t len, int flags);
int __wrap_poll(struct pollfd *p, nfds_t len, int timeout_ms);
int __real_poll(struct pollfd *p, nfds_t len, int timeout_ms);

ssize_t __wrap_recv(int fd, void *to, size_t len, int flags)
{
	return ahead_recv(fd, to, len, flags);
}

int __wrap_poll(struct pollfd *p, nfds_t len, int timeout_ms)
{
	struct pollfd *found = ahead_find(p, len);
	int r = __real_poll(p, len, found ? 0 : timeout_ms);

	return found ? ahead_say(found, r) : r;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--jail-net") == 0)
		return net_main();
	if (argc == 2 && strcmp(argv[1], "--jail-layout") == 0)
		return layout_main();
	if (argc == 4 && strcmp(argv[1], "--jail-resolve") == 0)
		return resolve_main(argv[2], argv[3]);
	if ((argc == 3 || argc == 4) && strcmp(argv[1], "--jail-judge") == 0)
		return judge_main(argv[2], argv[3]);
	if (argc > 1 && strcmp(argv[1], "pull") == 0)
		return pull_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "check") == 0)
		return check_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "attend") == 0)
		return attend_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "inspect") == 0)
		return inspect_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		return puts("coracle-fetch " CORACLE_VERSION) < 0;
	fprintf(stderr, "coracle-fetch %s\n"
		"  coracle-fetch pull REF      into the store; prints the digest of the manifest\n"
		"  coracle-fetch check REF     what it names now; fetches nothing else\n"
		"  coracle-fetch inspect REF   what is there, who signed it, whether it would be let in; changes nothing\n"
		"`coracle-fetch pull` alone shows the options.\n", CORACLE_VERSION);
	return 2;
}
