/* SPDX-License-Identifier: MIT */
/*
 * A disk that writes down what is done to it: one file, "disk", in a FUSE mount of our own (the kernel's protocol, no library), to
 * put a loop device on. Every write and every flush goes into TRACE in the order the kernel sent them; what is written to the second file,
 * "mark", as well. The disk itself keeps the writes, so that the file system on it works.
 *   recdisk IMAGE TRACE MOUNTPOINT     says "ready"; until SIGTERM or an umount
 * TRACE: records of {char kind; uint32 length; uint64 offset} in host order, packed; 'W' with LENGTH bytes behind it, 'F', 'M' with a word.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ROOT = 1, DISK, MARK, WRITE_MAX = 1 << 20, BUFFER = WRITE_MAX + 4096 };

struct record {
	char kind;
	uint32_t len;
	uint64_t at;
} __attribute__((packed));

static int fuse = -1, image = -1, trace = -1;
static const char *where;

static void die(const char *what)
{
	perror(what);
	umount2(where, MNT_DETACH);
	exit(1);
}

static void all(int fd, const void *at, size_t len)
{
	const char *p = at;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0)
			die("trace");
		p += n;
		len -= (size_t)n;
	}
}

static void note(char kind, uint64_t at, const void *data, uint32_t len)
{
	struct record r = { kind, len, at };

	all(trace, &r, sizeof(r));
	if (len)
		all(trace, data, len);
}

static void reply(uint64_t unique, int error, const void *data, size_t len)
{
	struct fuse_out_header h = { (uint32_t)(sizeof(h) + len), error, unique };
	struct iovec v[] = { { &h, sizeof(h) }, { (void *)data, len } };

	if (writev(fuse, v, len ? 2 : 1) < 0 && errno != ENOENT)
		die("fuse");
}

static struct fuse_attr attr_of(uint64_t node)
{
	struct fuse_attr a = { .ino = node, .nlink = 1, .mode = node == ROOT ? S_IFDIR | 0755 : S_IFREG | 0600, .blksize = 4096 };
	struct stat st;

	if (node == DISK && fstat(image, &st) == 0) {
		a.size = (uint64_t)st.st_size;
		a.blocks = a.size / 512;
	}
	return a;
}

static void lookup(const struct fuse_in_header *in, const char *name)
{
	struct fuse_entry_out out = { .generation = 1, .entry_valid = 3600, .attr_valid = 3600 };

	out.nodeid = strcmp(name, "disk") == 0 ? DISK : strcmp(name, "mark") == 0 ? MARK : 0;
	if (!out.nodeid) {
		reply(in->unique, -ENOENT, NULL, 0);
		return;
	}
	out.attr = attr_of(out.nodeid);
	reply(in->unique, 0, &out, sizeof(out));
}

static void read_disk(const struct fuse_in_header *in, const struct fuse_read_in *r)
{
	static char data[WRITE_MAX];
	ssize_t n = in->nodeid == DISK ? pread(image, data, r->size < sizeof(data) ? r->size : sizeof(data), (off_t)r->offset) : 0;

	reply(in->unique, n < 0 ? -errno : 0, data, n < 0 ? 0 : (size_t)n);
}

static void write_disk(const struct fuse_in_header *in, const struct fuse_write_in *w)
{
	struct fuse_write_out out = { .size = w->size };
	const void *data = w + 1;

	if (in->nodeid == DISK && pwrite(image, data, w->size, (off_t)w->offset) != (ssize_t)w->size) {
		reply(in->unique, -EIO, NULL, 0);
		return;
	}
	note(in->nodeid == DISK ? 'W' : 'M', w->offset, data, w->size);
	reply(in->unique, 0, &out, sizeof(out));
}

static void init(const struct fuse_in_header *in, const struct fuse_init_in *i)
{
	struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_readahead = i->max_readahead,
		.flags = FUSE_BIG_WRITES | FUSE_MAX_PAGES, .max_write = WRITE_MAX, .max_pages = WRITE_MAX / 4096, .max_background = 16,
		.congestion_threshold = 12, .time_gran = 1 };

	reply(in->unique, 0, &out, sizeof(out));
}

static void answer(const struct fuse_in_header *in, const void *body)
{
	struct fuse_attr_out attr = { .attr_valid = 3600, .attr = attr_of(in->nodeid) };
	struct fuse_open_out opened = { .fh = in->nodeid, .open_flags = FOPEN_DIRECT_IO };
	struct fuse_statfs_out space = { .st = { .blocks = 1, .bsize = 4096, .namelen = 255 } };

	switch (in->opcode) {
	case FUSE_INIT:
		init(in, body);
		break;
	case FUSE_LOOKUP:
		lookup(in, body);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		reply(in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		reply(in->unique, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		read_disk(in, body);
		break;
	case FUSE_WRITE:
		write_disk(in, body);
		break;
	case FUSE_FSYNC:
		note('F', 0, NULL, 0);
		reply(in->unique, 0, NULL, 0);
		break;
	case FUSE_STATFS:
		reply(in->unique, 0, &space, sizeof(space));
		break;
	case FUSE_READDIR:
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		reply(in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		reply(in->unique, -ENOSYS, NULL, 0);
	}
}

static void stop(int signal)
{
	(void)signal;
	umount2(where, MNT_DETACH);
	_exit(0);
}

int main(int argc, char **argv)
{
	static char buffer[BUFFER] __attribute__((aligned(8)));
	char options[100];

	if (argc != 4)
		return 2;
	where = argv[3];
	image = open(argv[1], O_RDWR | O_CLOEXEC);
	trace = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (image < 0 || trace < 0 || fuse < 0)
		die("open");
	snprintf(options, sizeof(options), "fd=%d,rootmode=40755,user_id=0,group_id=0,max_read=%d", fuse, WRITE_MAX);
	if (mount("recdisk", where, "fuse.recdisk", MS_NOSUID | MS_NODEV, options) < 0)
		die("mount");
	signal(SIGTERM, stop);
	puts("ready");
	fflush(stdout);
	for (;;) {
		ssize_t n = read(fuse, buffer, sizeof(buffer));

		if (n < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		if (n < (ssize_t)sizeof(struct fuse_in_header))
			return n < 0 && errno != ENODEV;
		answer((const struct fuse_in_header *)buffer, buffer + sizeof(struct fuse_in_header));
	}
}
