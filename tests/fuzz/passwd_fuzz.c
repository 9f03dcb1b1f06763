/* SPDX-License-Identifier: MIT */
/* Any bytes as the image's /etc/passwd and /etc/group: image_user.c, included for its statics. The first line of the input is Config.User. */
#include "image_user.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *rest;
	struct image_user u = { .home = "/" };
	struct err e = { "" };
	struct lookup l;
	int r;

	memcpy(text, data, size);
	text[size] = '\0';
	rest = text + strcspn(text, "\n");
	if (*rest)
		*rest++ = '\0';
	l.passwd = l.group = rest;
	r = find(&l, text, NULL, NULL, &u, &e);
	/* A user of digits alone is that number or an error, whatever the files say. */
	if (r == 0 && text[0] && strspn(text, "0123456789") == strlen(text) && strtoull(text, NULL, 10) != u.uid)
		abort();
	if (u.groups_len > IMAGE_USER_GROUPS_MAX || (r == 0 && (u.uid == UINT32_MAX || u.gid == UINT32_MAX)) || u.home[0] != '/')
		abort();
	free(text);
	return 0;
}
