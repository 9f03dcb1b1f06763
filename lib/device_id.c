/* SPDX-License-Identifier: MIT */
/* What sysfs says is the kernel's word, but the strings in it are the firmware's: whatever is not a letter or digit is left out. */
#include "device_id.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

enum { VALUE_MAX = 64, TEXT_MAX = 256 };

/* The first line of a small file, its NULs and blanks cut. */
static bool line_of(const char *top, const char *path, char out[TEXT_MAX])
{
	char full[512];
	ssize_t n;
	int fd;

	snprintf(full, sizeof(full), "%s/%s", top, path);
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	n = fd < 0 ? -1 : file_read_full(fd, out, TEXT_MAX - 1);
	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return out[0] != '\0';
}

/* "KIND-value", the value down to letters, digits and what SEPARATORS has. */
static void name_it(char out[DEVICE_ID_MAX], const char *kind, const char *value, const char *separators)
{
	size_t len = (size_t)snprintf(out, DEVICE_ID_MAX, "%s-", kind);

	for (; *value && len < DEVICE_ID_MAX - 1; value++)
		if (isalnum((unsigned char)*value) || (*value && strchr(separators, *value)))
			out[len++] = (char)tolower((unsigned char)*value);
	out[len] = '\0';
}

/* A value that makers put where none was given: one character over and over, or well-known words. */
static bool is_placeholder(const char *s)
{
	static const char *const words[] = { "none", "default string", "to be filled by o.e.m.", "not specified", "system serial number",
		"0123456789", "1234567890", "03000200-0400-0500-0006-000700080009" };
	size_t len = strlen(s), same = 0;

	for (size_t i = 0; i < len; i++)
		same += s[i] == s[0] || s[i] == '-';
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcasecmp(s, words[i]) == 0)
			return true;
	return len < 4 || len >= VALUE_MAX || same == len;
}

static bool is_burnt_in(const char *sys, const char *card, char mac[TEXT_MAX])
{
	char path[300], text[TEXT_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/class/net/%.100s/device", sys, card);
	if (card[0] == '.' || stat(path, &st) < 0)
		return false;
	snprintf(path, sizeof(path), "class/net/%.100s/addr_assign_type", card);
	if (!line_of(sys, path, text) || strcmp(text, "0") != 0)
		return false;
	snprintf(path, sizeof(path), "class/net/%.100s/address", card);
	return line_of(sys, path, mac) && strlen(mac) == strlen("52:54:00:12:34:56") && strcmp(mac, "00:00:00:00:00:00") != 0;
}

static bool mac_of(const char *sys, const char *known, char out[DEVICE_ID_MAX])
{
	char path[256], mac[TEXT_MAX], id[DEVICE_ID_MAX];
	struct dirent *entry;
	DIR *d;

	snprintf(path, sizeof(path), "%s/class/net", sys);
	d = opendir(path);
	out[0] = '\0';
	while (d && (entry = readdir(d))) {
		if (!is_burnt_in(sys, entry->d_name, mac))
			continue;
		name_it(id, "mac", mac, "");
		if (!out[0] || (known && strcmp(id, known) == 0) || ((!known || strcmp(out, known) != 0) && strcmp(id, out) < 0))
			snprintf(out, DEVICE_ID_MAX, "%s", id);
	}
	if (d)
		closedir(d);
	return out[0] != '\0';
}

bool device_id_find(const char *sys, const char *proc, const char *known, char out[DEVICE_ID_MAX])
{
	static const char *const serials[] = { "firmware/devicetree/base/serial-number", "devices/soc0/serial_number" };
	char text[TEXT_MAX];

	for (size_t i = 0; i < sizeof(serials) / sizeof(*serials); i++)
		if (line_of(sys, serials[i], text) && !is_placeholder(text)) {
			name_it(out, "serial", text, "");
			return true;
		}
	if (line_of(proc, "device-tree/serial-number", text) && !is_placeholder(text)) {
		name_it(out, "serial", text, "");
		return true;
	}
	if (line_of(sys, "class/dmi/id/product_uuid", text) && !is_placeholder(text)) {
		name_it(out, "uuid", text, "-");
		return true;
	}
	return mac_of(sys, known, out);
}

bool device_id(char out[DEVICE_ID_MAX])
{
	char text[TEXT_MAX];

	if (line_of("", DEVICE_ID_PATH, text) && span_copy(span_str(text), out, DEVICE_ID_MAX))
		return true;
	return device_id_find("/sys", "/proc", NULL, out);
}

void device_id_publish(const char *data)
{
	char text[TEXT_MAX] = "", id[DEVICE_ID_MAX], line[DEVICE_ID_MAX + 1];
	int run = open("/run/coracle", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int kept = data ? open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (data)
		line_of(data, "state/device-id", text);
	if (device_id_find("/sys", "/proc", text[0] ? text : NULL, id)) {
		snprintf(line, sizeof(line), "%s\n", id);
		if (run >= 0)
			file_replace(run, "device-id", span_str(line), 0644, NULL);
		if (kept >= 0 && strcmp(text, id) != 0 && file_make_dirs(kept, "state", 0755, NULL) == 0)
			file_replace(kept, "state/device-id", span_str(line), 0644, NULL);
	}
	if (run >= 0)
		close(run);
	if (kept >= 0)
		close(kept);
}
