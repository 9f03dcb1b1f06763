/* SPDX-License-Identifier: MIT */
/*
 * Finds and mounts the provisioning partition: on the disk of the data partition and on no other, so that a stick somebody plugs in
 * does not set the board up. By its GPT label; on an MBR, which has none, by the label of its FAT. What is on it is
 * read by the kernel's vfat; nothing on it is ever executed, and no node on it opens.
 */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "file.h"
#include "mount_sys.h"
#include "provision.h"

static const char gpt_label[] = "coracle-provision", fat_label[] = "PROVISION  ";

/* PARTNAME= of a partition's uevent: 1 it is ours, 0 another, -1 there are no names here. */
static int label_of(const char *disk, const char *name)
{
	char path[PATH_MAX + 300], text[512];
	const char *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%.100s/uevent", disk, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : file_read_full(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, "PARTNAME=");
	if (!at)
		return -1;
	at += strlen("PARTNAME=");
	return strlen(gpt_label) == strcspn(at, "\n") && !strncmp(at, gpt_label, strlen(gpt_label));
}

/* The volume label in the boot sector of FAT12, 16 or 32 (Microsoft's FAT specification, 3.2 and 3.3). */
static bool is_our_fat(const char *name)
{
	unsigned char sector[512];
	char path[160];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/dev/%.100s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : file_read_full(fd, sector, sizeof(sector));
	if (fd >= 0)
		close(fd);
	if (n != sizeof(sector) || sector[510] != 0x55 || sector[511] != 0xaa)
		return false;
	if (!memcmp(sector + 82, "FAT32", 5))
		return !memcmp(sector + 71, fat_label, 11);
	return !memcmp(sector + 54, "FAT", 3) && !memcmp(sector + 43, fat_label, 11);
}

static bool find(const char *data, char path[64])
{
	char link[64], disk[PATH_MAX], part[PATH_MAX + 300];
	struct dirent *entry;
	struct stat st;
	DIR *d;

	path[0] = '\0';
	if (stat(data, &st) < 0)
		return false;
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
	if (!realpath(link, disk) || !strrchr(disk, '/'))
		return false;
	snprintf(part, sizeof(part), "%s/partition", disk);
	if (stat(part, &st) < 0)
		return false;		/* a whole disk, a loop device */
	*strrchr(disk, '/') = '\0';
	d = opendir(disk);
	while (d && !path[0] && (entry = readdir(d))) {
		int is_ours;

		snprintf(part, sizeof(part), "%s/%.100s/partition", disk, entry->d_name);
		if (entry->d_name[0] == '.' || strlen(entry->d_name) > 40 || stat(part, &st) < 0)
			continue;
		is_ours = label_of(disk, entry->d_name);
		if (is_ours == 1 || (is_ours < 0 && is_our_fat(entry->d_name)))
			snprintf(path, 64, "/dev/%s", entry->d_name);
	}
	if (d)
		closedir(d);
	return path[0] != '\0';
}

int provision_part(const char *data, bool is_writable, char path[64], struct err *e)
{
	int fs, fd;

	if (!find(data, path))
		return -ENOENT;
	fs = sys_fsopen("vfat");
	if (fs == -ENODEV)
		return err_set(e, fs, "%s: not read: this kernel has no vfat", path);
	if (fs < 0)
		return err_sys(e, -fs, "%s", path);
	/* Names in ASCII, whatever the kernel's default is: its tables may be missing. */
	fd = sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", path);
	if (fd == 0)
		fd = sys_fsconfig(fs, FSCONFIG_SET_STRING, "iocharset", "ascii");
	if (fd == 0 && !is_writable)
		fd = sys_fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL);
	if (fd == 0)
		fd = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL);
	if (fd == 0)
		fd = sys_fsmount(fs, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | (is_writable ? 0 : MOUNT_ATTR_RDONLY));
	close(fs);
	return fd < 0 ? err_sys(e, -fd, "%s: not read, no sound FAT", path) : fd;
}
