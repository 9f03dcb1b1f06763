/* SPDX-License-Identifier: MIT */
/*
 * The compiled run record: all that starting one container needs, flat,
 * bounded and checksummed, made by coracle-bundle from config.json (OCI
 * runtime-spec 1.x), mapped read-only by the starter and used in place. It is a
 * cache: whatever does not fit is thrown away and compiled again. It guards against
 * damage, not against an attacker who can write the store.
 *
 * All numbers are host order (a record never leaves its board); all places are
 * offsets from the start, checked once by record_check before any use.
 */
#ifndef CORACLE_RECORD_H
#define CORACLE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#define RECORD_MAGIC "CORACLE\1"
enum { RECORD_FORMAT = 2 };

/* A NUL-terminated string at off (len does not count the NUL), or none where off is 0. */
struct record_str {
	uint32_t off;
	uint32_t len;
};

/* count elements at off; off is aligned to 8. */
struct record_list {
	uint32_t off;
	uint32_t count;
};

enum record_flag {
	RECORD_NO_NEW_PRIVS = 1 << 0,
	RECORD_ROOT_READONLY = 1 << 1,
	RECORD_TERMINAL = 1 << 2,
	RECORD_OOM_SCORE = 1 << 3,	/* oom_score_adj is set */
	RECORD_SETGROUPS = 1 << 4,
	RECORD_UMASK = 1 << 5,
	RECORD_IDMAP_LAYERS = 1 << 6,	/* the layers' ids on disk are those inside the user namespace */
	RECORD_USERNS_OPTIONAL = 1 << 7,/* where layers cannot be id-mapped, it runs in the caller's user namespace, with a note */
	RECORD_INIT = 1 << 8,		/* a reaper of ours is the first process, the program its child */
};

enum record_rootfs {
	RECORD_ROOTFS_PATH = 1,		/* root_path: a directory, bound */
	RECORD_ROOTFS_LAYERS = 2,	/* layers: names beneath <store>/layers, topmost first; one: bind, more: read-only overlay */
};

struct record_rlimit { uint32_t resource; uint32_t pad; uint64_t soft; uint64_t hard; };
struct record_ns { uint32_t clone_flag; uint32_t pad; struct record_str path; };	/* joined instead of made */
struct record_idmap { uint32_t inside, outside, count, pad; };

/* One entry of mounts[], in order (runtime-spec config.md "Mounts"). */
struct record_mount {
	struct record_str source, target, fstype, data;
	uint64_t attr_set, attr_clear;	/* MOUNT_ATTR_* */
	uint32_t propagation;		/* MS_PRIVATE..., 0: none asked */
	uint32_t bind;			/* 0 no, 1 bind, 2 rbind */
	uint32_t is_file;		/* source is no directory (bind) */
	uint32_t optional;		/* a missing source is no error */
	uint64_t sb_flags;		/* MS_* flags for the file system itself */
	uint32_t idmap;			/* ids in the source are those inside the user namespace: 0 no, 1 this mount, 2 also those below it */
	uint32_t pad;
};

/* A file of the host that the program finds as a file of its own on a tmpfs. */
struct record_secret {
	struct record_str source, name;	/* absolute; below /run/secrets */
	uint32_t uid, gid, mode, pad;
};

struct record_device {
	struct record_str path;		/* in the container, below /dev */
	uint32_t mode;			/* S_IFCHR|0666 ... */
	uint32_t major, minor, uid, gid, pad;
};

/* One line to write: file name below the unit's cgroup, or below /proc/sys. */
struct record_pair { struct record_str key, value; };

struct record_head {
	uint8_t magic[8];
	uint32_t format;
	uint32_t size;			/* of the whole record in bytes, at most CONFIG_RECORD_MAX */
	uint32_t crc32;			/* IEEE, over the whole record with this field 0 */
	uint32_t flags;			/* enum record_flag */
	uint64_t feature_hash;		/* of the kernel features it relies on; part of the file name */

	struct record_str id;		/* the bundle's id */
	struct record_str image_digest;	/* manifest digest or none */

	/* process */
	struct record_list args;	/* of struct record_str */
	struct record_list env;		/* of struct record_str */
	struct record_str path_env;	/* PATH of env, for looking up args[0] */
	struct record_str cwd;
	uint32_t uid, gid, umask;
	int32_t oom_score_adj;
	struct record_list groups;	/* of uint32_t */
	struct record_list rlimits;	/* of struct record_rlimit */
	uint64_t cap_bounding, cap_effective, cap_permitted, cap_inheritable, cap_ambient;

	/* namespaces */
	uint32_t clone_flags;		/* CLONE_NEW*: the ones to make */
	uint32_t pad0;
	struct record_list ns_join;	/* of struct record_ns */
	struct record_list uid_map, gid_map;	/* of struct record_idmap; empty: no user namespace */
	struct record_str hostname, domainname;

	/* root */
	uint32_t rootfs;		/* enum record_rootfs */
	uint32_t root_propagation;	/* MS_* */
	struct record_str root_path;
	struct record_str store;	/* absolute path of the store */
	struct record_list layers;	/* of struct record_str */
	struct record_list mounts;	/* of struct record_mount */
	struct record_list devices;	/* of struct record_device */
	struct record_list masked;	/* of struct record_str */
	struct record_list readonly;	/* of struct record_str */
	struct record_list sysctls;	/* of struct record_pair, keys as paths: net/ipv4/ip_forward */

	/* cgroup v2 */
	struct record_str cgroup;	/* config.json's cgroupsPath; PID 1's own name for the unit's cgroup comes before it */
	struct record_list cgroup_files;/* of struct record_pair: memory.max, pids.max, cpu.max, ... */
	struct record_list device_prog;	/* of struct bpf_insn (8 bytes each): BPF_PROG_TYPE_CGROUP_DEVICE; empty: none */

	struct record_list secrets;	/* of struct record_secret */
	uint32_t rows, cols;		/* of the terminal; 0: not said */

	/* seccomp */
	struct record_list seccomp;	/* of struct sock_filter (8 bytes each); empty: no filter */
	uint32_t seccomp_flags;		/* SECCOMP_FILTER_FLAG_* */
	uint32_t pad1;
};

/* Checks magic, format, length, checksum and that every string and list, also those inside lists, lies inside and ends in NUL. SIZE is what
 * was mapped. 0, -EBADMSG (named in E), or -ESTALE for another format: compile again. After 0 the accessors below cannot leave it. */
int record_check(const void *at, size_t size, struct err *e);

static inline const char *record_text(const struct record_head *r, struct record_str s)
{
	return s.off ? (const char *)r + s.off : NULL;
}

static inline const void *record_items(const struct record_head *r, struct record_list l)
{
	return (const char *)r + l.off;
}

/* IEEE CRC-32, also used by the unit table and state/slots. Start with CRC 0. */
uint32_t record_crc32(uint32_t crc, const void *at, size_t len);

#endif
