/* SPDX-License-Identifier: MIT */
/* Reads and replaces state/slots (slots.h). What is read may be cut or flipped: every field is checked, and the checksum over all lines before its own. */
#include "slots.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "file.h"
#include "record.h"
#include "seal.h"

enum { SLOTS_FILE_MAX = CONFIG_UNITS_MAX * 1200 + 512, CRC_LEN = 15 };

static const char path[] = "state/slots", first_line[] = "coracle-slots 1";

static bool is_word(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return false;
	return true;
}

static int take_digest(char out[DIGEST_TEXT_LEN + 1], const char *value)
{
	struct digest d;

	if (strcmp(value, "-") == 0) {
		out[0] = '\0';
		return 0;
	}
	if (digest_parse(span_str(value), &d) < 0)
		return -EUCLEAN;
	span_copy(span_str(value), out, DIGEST_TEXT_LEN + 1);
	return 0;
}

static int take_refused(struct slot *s, char *value)
{
	char *save = NULL;
	int n = 0;

	for (char *d = strtok_r(value, ",", &save); d; d = strtok_r(NULL, ",", &save))
		if (n == UNIT_REFUSED_MAX || take_digest(s->refused[n++], d) < 0)
			return -EUCLEAN;
	return n ? 0 : -EUCLEAN;
}

static int take_field(struct slot *s, char *field)
{
	char *value = strchr(field, '=');
	char *end;

	if (!value)
		return -EUCLEAN;
	*value++ = '\0';
	if (strcmp(field, "ref") == 0)
		return span_copy(span_str(value), s->ref, sizeof(s->ref)) ? 0 : -EUCLEAN;
	if (strcmp(field, "next-ref") == 0)
		return span_copy(span_str(value), s->next_ref, sizeof(s->next_ref)) ? 0 : -EUCLEAN;
	if (strcmp(field, "current") == 0)
		return take_digest(s->current, value);
	if (strcmp(field, "previous") == 0)
		return take_digest(s->previous, value);
	if (strcmp(field, "next") == 0)
		return take_digest(s->next, value);
	if (strcmp(field, "refused") == 0)
		return take_refused(s, value);
	if (strcmp(field, "floor") == 0) {
		s->floor = strcmp(value, "-") == 0 ? 0 : strtoull(value, &end, 10);
		return strcmp(value, "-") == 0 || (*value && !*end) ? 0 : -EUCLEAN;
	}
	if (strcmp(field, "tries") == 0) {
		s->tries = (uint32_t)strtoul(value, &end, 10);
		return *value && !*end ? 0 : -EUCLEAN;
	}
	/* A field of a later version: the checksum says it is whole. */
	return 0;
}

static int take_unit(struct slots *out, char *line)
{
	char *save = NULL, *name;
	struct slot *s;
	int r = 0;

	strtok_r(line, " ", &save);
	name = strtok_r(NULL, " ", &save);
	if (!name || strlen(name) >= UNIT_NAME_MAX || slots_find(out, name))
		return -EUCLEAN;
	s = slots_get(out, name);
	if (!s)
		return -EUCLEAN;
	for (char *f = strtok_r(NULL, " ", &save); f && r == 0; f = strtok_r(NULL, " ", &save))
		r = take_field(s, f);
	return r;
}

/* The last line is "crc32 HEX" over all before it. */
static bool is_whole(const char *text, size_t len)
{
	char want[24];
	const char *last = len > CRC_LEN ? text + len - CRC_LEN : text;

	if (len < CRC_LEN || (last != text && last[-1] != '\n'))
		return false;
	snprintf(want, sizeof(want), "crc32 %08x\n", record_crc32(0, text, (size_t)(last - text)));
	return memcmp(last, want, CRC_LEN) == 0;
}

int slots_read(struct store *s, struct slots *out, struct err *e)
{
	char *text = NULL, *save = NULL;
	size_t len = 0;
	int fd, r;

	memset(out, 0, sizeof(*out));
	fd = file_open_beneath(store_fd(s), path, O_RDONLY | O_NONBLOCK, 0);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return err_sys(e, -fd, "%s", path);
	r = file_read_fd(fd, path, SLOTS_FILE_MAX, &text, &len, e);
	close(fd);
	if (r < 0)
		return r;
	if (!is_whole(text, len)) {
		free(text);
		return err_set(e, -EUCLEAN, "%s: damaged (its checksum does not match): every unit is pulled again; remove the file", path);
	}
	if (seal_check(store_seal(s), "slots", "", span_of(text, len - CRC_LEN)) < 0) {
		free(text);
		return err_set(e, -EUCLEAN, "%s: not written under this board's key: refused; every unit is pulled again", path);
	}
	for (char *line = strtok_r(text, "\n", &save), *first = line; line && r == 0; line = strtok_r(NULL, "\n", &save)) {
		if (line == first)
			r = strcmp(line, first_line) == 0 ? 0 : -EUCLEAN;
		else if (strncmp(line, "unit ", 5) == 0)
			r = take_unit(out, line);
	}
	free(text);
	if (r < 0) {
		memset(out, 0, sizeof(*out));
		return err_set(e, -EUCLEAN, "%s: of another version, or not written by us: remove the file", path);
	}
	return 0;
}

static const char *shown(const char *s)
{
	return s[0] ? s : "-";
}

/* Cut is told by the checksum, so SIZE is never reached: SLOTS_FILE_MAX holds the longest line of every unit. */
static size_t put_unit(char *at, size_t size, const struct slot *x)
{
	char floor[24] = "-";
	size_t n;

	if (x->floor)
		snprintf(floor, sizeof(floor), "%" PRIu64, x->floor);
	n = (size_t)snprintf(at, size, "unit %s ref=%s current=%s previous=%s next=%s tries=%u floor=%s refused=%s", x->name, x->ref,
		shown(x->current), shown(x->previous), shown(x->next), x->tries, floor, shown(x->refused[0]));
	for (int i = 1; i < UNIT_REFUSED_MAX && x->refused[i][0]; i++)
		n += (size_t)snprintf(at + n, size - n, ",%s", x->refused[i]);
	if (x->next[0] && x->next_ref[0])
		n += (size_t)snprintf(at + n, size - n, " next-ref=%s", x->next_ref);
	return n + (size_t)snprintf(at + n, size - n, "\n");
}

int slots_write(struct store *s, const struct slots *slots, struct err *e)
{
	char *text = malloc(SLOTS_FILE_MAX), mac[SEAL_LINE_MAX];
	size_t at;
	int r;

	if (!text)
		return err_sys(e, ENOMEM, "%s", path);
	at = (size_t)snprintf(text, SLOTS_FILE_MAX, "%s\n", first_line);
	for (uint32_t i = 0; i < slots->count; i++) {
		const struct slot *x = &slots->slot[i];

		if (!x->name[0] || !is_word(x->name) || !is_word(x->ref) || !is_word(x->next_ref)) {
			free(text);
			return err_set(e, -EINVAL, "%s: unit %.63s: a name or reference with a blank in it", path, x->name);
		}
		at += put_unit(text + at, SLOTS_FILE_MAX - at, x);
	}
	seal_line(store_seal(s), "slots", "", span_of(text, at), mac);
	at += (size_t)snprintf(text + at, SLOTS_FILE_MAX - at, "%s", mac);
	at += (size_t)snprintf(text + at, SLOTS_FILE_MAX - at, "crc32 %08x\n", record_crc32(0, text, at));
	r = file_make_dirs(store_fd(s), "state", 0755, e);
	if (r == 0)
		r = file_replace(store_fd(s), path, span_of(text, at), 0644, e);
	free(text);
	return r;
}

int slots_lock(struct store *s, struct err *e)
{
	int fd, r = file_make_dirs(store_fd(s), "state", 0755, e);

	if (r < 0)
		return r;
	fd = file_open_beneath(store_fd(s), "state", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_sys(e, -fd, "state");
	if (flock(fd, LOCK_EX) < 0) {
		r = err_sys(e, errno, "state");
		close(fd);
		return r;
	}
	return fd;
}

struct slot *slots_find(struct slots *slots, const char *name)
{
	for (uint32_t i = 0; i < slots->count; i++)
		if (strcmp(slots->slot[i].name, name) == 0)
			return &slots->slot[i];
	return NULL;
}

struct slot *slots_get(struct slots *slots, const char *name)
{
	struct slot *s = slots_find(slots, name);

	if (s || slots->count == CONFIG_UNITS_MAX || strlen(name) >= UNIT_NAME_MAX)
		return s;
	s = &slots->slot[slots->count++];
	memset(s, 0, sizeof(*s));
	span_copy(span_str(name), s->name, sizeof(s->name));
	return s;
}
