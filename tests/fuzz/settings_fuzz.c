/* SPDX-License-Identifier: MIT */
/* Any bytes as what peers put into headers (challenges, locations) and as the operator's mirrors and proxies; the last two included for their statics. */
#include "mirrors.c"
#define FILE_MAX PROXY_FILE_MAX
#define parse proxy_parse
#define is_named proxy_is_named
#include "proxy.c"

#include "auth.h"
#include "platform.h"
#include "url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct endpoint_name names[CONFIG_MIRRORS_MAX + 1];
	char *text = malloc(size + 1), *again = malloc(size + 1);
	struct reader r = { .file = "f", .name = "registry.demo:5443/demo/app" };
	struct err e = { "" };
	struct challenge c;
	struct platform p;
	struct proxy proxy;
	struct url u;
	struct ref ref;

	memcpy(text, data, size);
	text[size] = '\0';
	memcpy(again, text, size + 1);
	auth_challenge(text, &c);
	/* What comes out of a URL is safe to connect to and to send. */
	if (url_split(text, &u) == 0 && (u.path[0] != '/' || strpbrk(u.path, " \r\n\t") || !u.server[0] || strchr(u.server, '@') || atoi(u.port) < 1))
		abort();
	if (size && *text != 'o' && ref_parse(text, &ref, NULL) == 0 && (strstr(ref.repo, "..") || strchr(ref.tag, '/') || !ref_is_repo(ref.repo)))
		abort();
	platform_parse(text, &p, NULL);
	memset(&proxy, 0, sizeof(proxy));
	proxy_parse(text, &proxy, NULL);
	is_excepted(again, "10.1.2.3", "443");
	if (read_text(&r, text, &e) == 0 && r.best.count)
		rename_to(names, r.best.mirror[0].location, r.name, r.best_len, NULL);
	free(text);
	free(again);
	return 0;
}
