/* SPDX-License-Identifier: MIT */
/* Names and attribute values are hostile bytes: whatever they hold, a line stays one line with its fields. */
#include "layer_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "config.h"

enum { NAMES_FIRST = 1024, NAMES_MAX = 65536 };

void layer_line_text(FILE *to, struct span text, const char *also)
{
	if (text.len == 0)
		putc('-', to);
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.at[i];

		if (c <= ' ' || c >= 0x7f || c == '\\' || (also && strchr(also, c)) || (c == '-' && text.len == 1))
			fprintf(to, "\\x%02x", c);
		else
			putc(c, to);
	}
}

static int hex_value(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int layer_line_plain(struct span field, char *out, size_t size)
{
	size_t n = 0;

	if (span_is(field, "-"))
		field.len = 0;
	for (size_t i = 0; i < field.len; i++) {
		int c = field.at[i];

		if (c == '\\') {
			if (field.len - i < 4 || field.at[i + 1] != 'x' || hex_value(field.at[i + 2]) < 0 || hex_value(field.at[i + 3]) < 0)
				return -EBADMSG;
			c = hex_value(field.at[i + 2]) << 4 | hex_value(field.at[i + 3]);
			i += 3;
		}
		if (n + 1 >= size || c == 0)
			return -EBADMSG;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int write_xattrs(FILE *to, const struct layer_item *item, struct err *e)
{
	static char names[NAMES_MAX];
	static uint8_t value[CONFIG_XATTR_MAX];
	static const char *sorted[8192];	/* more than a pax header within our limits can name */
	size_t count = 0;
	ssize_t len;
	int r = 0;

	/* The walk stands in its directory: one call, nothing opened. The kernel allocates the room it is offered: little first. */
	len = llistxattr(item->name, names, NAMES_FIRST);
	if (len < 0 && errno == ERANGE)
		len = llistxattr(item->name, names, sizeof(names));
	if (len < 0 && errno != ENOTSUP)
		r = err_sys(e, errno, "%s: attributes", item->path);
	for (const char *n = names; len > 0 && n < names + len; n += strlen(n) + 1)
		if (count < sizeof(sorted) / sizeof(*sorted))
			sorted[count++] = n;
	qsort(sorted, count, sizeof(*sorted), compare_names);
	for (size_t i = 0; r == 0 && i < count; i++) {
		ssize_t size = lgetxattr(item->name, sorted[i], value, sizeof(value));

		if (size < 0) {
			r = err_sys(e, errno, "%s: attribute %s", item->path, sorted[i]);
			break;
		}
		putc(' ', to);
		layer_line_text(to, span_str(sorted[i]), "=");
		putc('=', to);
		if (size)
			layer_line_text(to, span_of(value, (size_t)size), NULL);
	}
	return r;
}

int layer_line_write(FILE *to, const struct layer_item *item, const struct digest *digest, struct err *e)
{
	bool is_dir = S_ISDIR(item->st.st_mode), is_device = S_ISCHR(item->st.st_mode) || S_ISBLK(item->st.st_mode);
	char target[4096];
	ssize_t n = 0;

	if (S_ISLNK(item->st.st_mode)) {
		n = readlinkat(item->dir, item->name, target, sizeof(target));
		if (n < 0)
			return err_sys(e, errno, "%s", item->path);
	}
	layer_line_text(to, span_str(item->path), NULL);
	fprintf(to, " %llu %o %u %u %u %llu %lld.%09ld ", is_dir ? 0 : (unsigned long long)item->st.st_size, item->st.st_mode,
		is_dir ? 1 : (unsigned)item->st.st_nlink, item->st.st_uid, item->st.st_gid,
		is_device ? (unsigned long long)item->st.st_rdev : 0, (long long)item->st.st_mtim.tv_sec, item->st.st_mtim.tv_nsec);
	layer_line_text(to, span_of(target, (size_t)n), NULL);
	fprintf(to, " - %s", digest ? digest_text(digest).text + 7 : "-");
	return write_xattrs(to, item, e);
}

void layer_line_write_again(FILE *to, const struct layer_item *item, struct span target)
{
	layer_line_text(to, span_str(item->path), NULL);
	fprintf(to, " 0 @%o 1 0 0 0 0.0 %.*s - -", item->st.st_mode, (int)target.len, (const char *)target.at);
}
