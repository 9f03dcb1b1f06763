/* SPDX-License-Identifier: MIT */
/* The unpack jail: no network, staging and lower layers by descriptor only, the capabilities that file ownership takes. That of the decompressor: two pipes. */
#include <errno.h>
#include <linux/capability.h>

#include "config.h"
#include "filter.h"
#include "unpack.h"

static const struct sock_filter filter[] = {
	FILTER_BEGIN,
	FILTER_START,
	FILTER_REFUSE_NR(SYS_prctl, EPERM), /* libcap asks for the bounding set as it comes up */
	FILTER_ALLOW(openat), FILTER_ALLOW(openat2), FILTER_ALLOW(fstatat_any),
	FILTER_ALLOW(readlinkat), FILTER_ALLOW(mkdirat), FILTER_ALLOW(mknodat), FILTER_ALLOW(symlinkat), FILTER_ALLOW(linkat),
	FILTER_ALLOW(unlinkat), FILTER_ALLOW(fchownat), FILTER_ALLOW(fchown_any), FILTER_ALLOW(fchmod), FILTER_ALLOW(fchmodat),
	FILTER_ALLOW(utimensat), FILTER_ALLOW(utimensat_any), FILTER_ALLOW(getdents64), FILTER_ALLOW(ftruncate_any), FILTER_ALLOW(lseek_any), FILTER_ALLOW(pread64),
	FILTER_ALLOW(setxattr), FILTER_ALLOW(lsetxattr), FILTER_ALLOW(fsetxattr), FILTER_ALLOW(fgetxattr), FILTER_ALLOW(lgetxattr),
	FILTER_ALLOW(flistxattr), FILTER_ALLOW(llistxattr), FILTER_ALLOW(getxattr), FILTER_ALLOW(listxattr),
	FILTER_ALLOW(fremovexattr), FILTER_ALLOW(statx), FILTER_ALLOW(fcntl_any),
	FILTER_ALLOW(getpid), FILTER_ALLOW(fchdir), FILTER_ALLOW(umask),
	FILTER_END,
};

void unpack_jail_spec(struct jail_spec *spec)
{
	*spec = (struct jail_spec){
		.name = "unpack",
		.uid = CONFIG_UID_UNPACK,
		.caps = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID | 1ull << CAP_SETFCAP,
		.memory_max = 32ull << 20,	/* stack and program count as well */
		.file_size_max = (uint64_t)CONFIG_UNPACKED_MAX_MIB << 20,
		.fds_max = 1024,
		.filter = filter,
		.filter_len = sizeof(filter) / sizeof(*filter),
	};
}

void inflate_jail_spec(struct jail_spec *spec)
{
	*spec = (struct jail_spec){
		.name = "inflate",
		.uid = CONFIG_UID_UNPACK,
		.memory_max = (32ull << 20) + (2ull << CONFIG_ZSTD_WINDOW_LOG_MAX),
		.fds_max = 16,
	};
}
