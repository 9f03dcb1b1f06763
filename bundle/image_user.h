/* SPDX-License-Identifier: MIT */
/*
 * Config.User of an image, and User=, Group=, GroupAdd= of a unit, to numbers by the image's own /etc/passwd and /etc/group (image-spec
 * config.md "User"; conversion.md "Config.User").
 */
#ifndef CORACLE_IMAGE_USER_H
#define CORACLE_IMAGE_USER_H

#include <stdint.h>

#include "err.h"
#include "unit_file.h"

enum { IMAGE_USER_GROUPS_MAX = 64, IMAGE_USER_FILE_MAX = 1 << 20 };

struct image_user {
	uint32_t uid, gid;
	uint32_t groups_len;
	uint32_t groups[IMAGE_USER_GROUPS_MAX];	/* supplementary */
	char home[256];		/* of /etc/passwd, or "/" */
};

/* USER and GROUP as written ("", "app", "1000", "app:web"; GROUP may be NULL and wins over one in USER), ADD more groups by name or number. ROOT is
 * the merged rootfs; its files are opened inside it, must be regular and small. Digits only are always a number, and one out of range is an error
 * (CVE-2024-40635). An unknown name is -EINVAL. Without a group the user's own and the supplementary ones it is listed in; with one, that alone. */
int image_user_find(int root, const char *user, const char *group, const struct unit_list *add, struct image_user *out, struct err *e);

#endif
