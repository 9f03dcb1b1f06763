/* SPDX-License-Identifier: MIT */
/*
 * The data partition. Found by walking /sys/class/block for the PARTNAME that
 * board.conf names; mounted as ext4. What does not mount is never formatted
 * or repaired here: the message names what a technician can do.
 */
#include "data_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "boot.h"
#include "clock.h"
#include "dir.h"
#include "job_child.h"
#include "text.h"

struct search {
	const char *label;
	char device[32];	/* the one found, or "" */
	bool is_twice;
	char seen[128];		/* the devices there are, for the message */
};

bool data_uevent(const char *text, const char *key, char *out, size_t size)
{
	size_t len = strlen(key);

	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n");

		if (n > len && line[len] == '=' && !memcmp(line, key, len) && n - len - 1 < size) {
			memcpy(out, line + len + 1, n - len - 1);
			out[n - len - 1] = '\0';
			return true;
		}
		line += n + (line[n] == '\n');
	}
	return false;
}

static int look(const char *name, void *arg)
{
	struct search *s = arg;
	char path[320], text[1024], label[64];
	size_t len = strlen(s->seen);

	if (!strncmp(name, "loop", 4) || !strncmp(name, "ram", 3))
		return 0;
	snprintf(s->seen + len, sizeof(s->seen) - len, "%s%s", len ? " " : "", name);
	snprintf(path, sizeof(path), "/sys/class/block/%.250s/uevent", name);
	if (text_file(path, text, sizeof(text)) < 0 || !data_uevent(text, "PARTNAME", label, sizeof(label)) ||
	    strcmp(label, s->label) != 0)
		return 0;
	s->is_twice = s->device[0] != '\0';
	text_copy(s->device, sizeof(s->device), name);
	return s->is_twice;
}

static int use_directory(const char *dir)
{
	char text[JOB_TEXT_MAX];
	struct stat st;

	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)) {
		snprintf(text, sizeof(text), "%s: not a directory; make it, or change data-dir= in board.conf", dir);
		return job_say(JOB_RETRY, text);
	}
	if (access(dir, W_OK) < 0) {
		snprintf(text, sizeof(text), "%s: cannot be written: %s", dir, strerror(errno));
		return job_say(JOB_RETRY, text);
	}
	snprintf(text, sizeof(text), "%s directory", dir);
	return job_say(JOB_DONE, text);
}

static const char *advice(int error)
{
	switch (error) {
	case EINVAL:
	case EUCLEAN:
	case EBADMSG:
	case EIO:
		return "no sound ext4; nothing was changed. On another machine: e2fsck -f, or mkfs.ext4 -b 4096 if its content may go";
	case ENODEV:
		return "this kernel has no ext4: add the module to /etc/coracle/modules";
	case ENOENT:
		return "ext4 asks for " MODULE_LACKS;
	case EROFS:
	case EACCES:
		return "the disk is write-protected, and was not umounted cleanly: make it writable";
	default:
		return "tried again";
	}
}

/* Never back: later than a time that was confirmed once it certainly is. */
static void clock_forward(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct timespec now, saved = { .tv_sec = fd < 0 ? 0 : (time_t)clock_saved(fd) };

	if (fd >= 0)
		close(fd);
	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec >= saved.tv_sec)
		return;
	if (clock_settime(CLOCK_REALTIME, &saved) < 0)
		fprintf(stderr, "clock: not set to the last confirmed time: %s\n", strerror(errno));
	else
		fprintf(stderr, "clock: it was before the last confirmed time; set to it\n");
}

/* 0 or an errno value. What a write-protected disk holds still runs; `status` says that nothing can be added. */
static int mount_it(const char *device)
{
	static const unsigned long flags = MS_NOATIME | MS_NODEV;
	static const char options[] = "errors=remount-ro";

	/* EBUSY: a killed predecessor came this far. */
	if (mount(device, "/data", "ext4", flags, options) == 0 || errno == EBUSY)
		return 0;
	if (errno != EROFS && errno != EACCES)
		return errno;
	if (mount(device, "/data", "ext4", flags | MS_RDONLY, options) < 0)
		return errno;
	fprintf(stderr, "%s: write-protected: mounted read-only\n", device);
	return 0;
}

int data_mount(const struct board_conf *c)
{
	struct search s = { .label = c->data_label };
	char text[JOB_TEXT_MAX], device[48];
	int error;

	if (c->data_dir[0])
		return use_directory(c->data_dir);
	dir_walk("/sys/class/block", look, &s);
	if (!s.device[0]) {
		snprintf(text, sizeof(text), "no partition with GPT label %s (block devices: %s); attach the disk or "
			"set data-label= in board.conf", c->data_label, s.seen[0] ? s.seen : "none");
		return job_say(JOB_RETRY, text);
	}
	if (s.is_twice) {
		snprintf(text, sizeof(text), "more than one partition has the GPT label %s; rename or detach one",
			c->data_label);
		return job_say(JOB_RETRY, text);
	}
	snprintf(device, sizeof(device), "/dev/%s", s.device);
	error = mount_it(device);
	if (error) {
		snprintf(text, sizeof(text), "%s: %s: %s", device, strerror(error), advice(error));
		return job_say(JOB_RETRY, text);
	}
	clock_forward("/data");
	snprintf(text, sizeof(text), "/data ext4 %s", s.device);
	return job_say(JOB_DONE, text);
}

int data_sync(const char *umount_dir)
{
	char text[JOB_TEXT_MAX];
	int error;

	sync();
	if (!umount_dir || umount2(umount_dir, 0) == 0)
		return job_say(JOB_DONE, "");
	error = errno;
	/* Something still holds it; read-only is as good for the disk. */
	if (mount(NULL, umount_dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0)
		return job_say(JOB_DONE, "");
	snprintf(text, sizeof(text), "sync: %s: not umounted: %s", umount_dir, strerror(error));
	return job_say(JOB_RETRY, text);
}
