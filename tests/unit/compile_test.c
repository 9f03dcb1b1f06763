/* SPDX-License-Identifier: MIT */
/* bundle/compile*.c: each property of a config.json lands in its field or is an error that names its path. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "bundle_layers.h"
#include "compile.h"

static struct record_build built;
static const struct record_head *head = &built.head;
static struct bundle_layers layers = { .store = "/data", .count = 2, .layer = { "0001b", "0001a" } };

#define PROCESS "\"process\":{\"args\":[\"/a\"],\"cwd\":\"/\",\"user\":{\"uid\":1,\"gid\":2}"
#define START "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\",\"readonly\":true}," PROCESS
#define LINUX "},\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"uts\"},{\"type\":\"ipc\"},{\"type\":\"network\"}]"
#define END "}}"

static int compile(const char *text, struct err *e)
{
	e->text[0] = '\0';
	return compile_config(span_str(text), &layers, "/data/bundles/x", &built, e);
}

static const char *text_of(struct record_str s)
{
	return record_text(head, s);
}

static void minimal(void **state)
{
	struct err e;

	(void)state;
	if (compile(START LINUX END, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(head->args.count, 1);
	assert_int_equal(head->uid, 1);
	assert_int_equal(head->gid, 2);
	assert_int_equal(head->clone_flags, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET);
	assert_int_equal(head->rootfs, RECORD_ROOTFS_LAYERS);
	assert_int_equal(head->layers.count, 2);
	assert_string_equal(text_of(head->store), "/data");
	assert_string_equal(text_of(head->id), "x");
	assert_true(head->flags & RECORD_ROOT_READONLY);
	assert_int_equal(head->cap_bounding | head->cap_effective | head->cap_permitted | head->cap_inheritable | head->cap_ambient, 0);
	assert_int_equal(head->feature_hash, record_build_features(head));
}

static void base_is_below_all(void **state)
{
	const struct record_str *l;
	struct err e;

	(void)state;
	layers.has_base = true;
	assert_int_equal(compile(START LINUX END, &e), 0);
	l = record_items(head, head->layers);
	assert_int_equal(head->layers.count, 3);
	assert_string_equal(text_of(l[0]), "0001b");
	assert_string_equal(text_of(l[2]), "../bundles/x/base");
	layers.has_base = false;
}

static const struct record_mount *one_mount(const char *mount)
{
	char text[2048];
	struct err e;

	snprintf(text, sizeof(text), START "},\"mounts\":[%s],\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]" END, mount);
	if (compile(text, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(head->mounts.count, 1);
	return record_items(head, head->mounts);
}

static void mounts(void **state)
{
	const struct record_mount *m;

	(void)state;
	m = one_mount("{\"destination\":\"/t\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"strictatime\",\"mode=755\",\"size=64k\"]}");
	assert_int_equal(m->attr_set, MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME);
	assert_string_equal(text_of(m->data), "mode=755,size=64k");
	assert_int_equal(m->bind, 0);
	m = one_mount("{\"destination\":\"/t\",\"type\":\"tmpfs\",\"options\":[\"noexec\",\"exec\",\"noatime\",\"relatime\",\"ro\"]}");
	assert_int_equal(m->attr_set, MOUNT_ATTR_RDONLY);
	assert_int_equal(m->attr_clear, MOUNT_ATTR_NOEXEC | MOUNT_ATTR__ATIME);
	assert_int_equal(m->sb_flags, 0);
	m = one_mount("{\"destination\":\"/t\",\"type\":\"ext4\",\"source\":\"/dev/x\",\"options\":[\"ro\",\"sync\"]}");
	assert_int_equal(m->sb_flags, 1 | 16);
	m = one_mount("{\"destination\":\"/t\",\"source\":\"/etc/passwd\",\"options\":[\"rbind\",\"ro\",\"rslave\"]}");
	assert_int_equal(m->bind, 2);
	assert_int_equal(m->is_file, 1);
	assert_int_equal(m->propagation, 1 << 19 | 16384);
	m = one_mount("{\"destination\":\"/t\",\"type\":\"bind\",\"source\":\"/etc\"}");
	assert_int_equal(m->bind, 1);
	assert_int_equal(m->is_file, 0);
	m = one_mount("{\"destination\":\"/t\",\"type\":\"bind\",\"source\":\"rel/dir\",\"options\":[\"bind\"]}");
	assert_string_equal(text_of(m->source), "/data/bundles/x/rel/dir");
}

static const char *cgroup_file(const char *resources, const char *key)
{
	const struct record_pair *p;
	char text[2048];
	struct err e;

	snprintf(text, sizeof(text), START LINUX ",\"resources\":{%s}" END, resources);
	if (compile(text, &e) < 0)
		fail_msg("%s", e.text);
	p = record_items(head, head->cgroup_files);
	for (uint32_t i = 0; i < head->cgroup_files.count; i++)
		if (strcmp(text_of(p[i].key), key) == 0)
			return text_of(p[i].value);
	return "";
}

static void limits(void **state)
{
	(void)state;
	assert_string_equal(cgroup_file("\"memory\":{\"limit\":1048576}", "memory.max"), "1048576");
	assert_string_equal(cgroup_file("\"memory\":{\"limit\":-1}", "memory.max"), "max");
	assert_string_equal(cgroup_file("\"memory\":{\"limit\":1000,\"swap\":1500}", "memory.swap.max"), "500");
	assert_string_equal(cgroup_file("\"memory\":{\"limit\":1000,\"swap\":1000}", "memory.swap.max"), "0");
	assert_string_equal(cgroup_file("\"memory\":{\"reservation\":7}", "memory.low"), "7");
	assert_string_equal(cgroup_file("\"pids\":{\"limit\":5}", "pids.max"), "5");
	assert_string_equal(cgroup_file("\"pids\":{\"limit\":-1}", "pids.max"), "max");
	assert_string_equal(cgroup_file("\"cpu\":{\"quota\":50000,\"period\":100000}", "cpu.max"), "50000 100000");
	assert_string_equal(cgroup_file("\"cpu\":{\"quota\":50000}", "cpu.max"), "50000 100000");
	assert_string_equal(cgroup_file("\"cpu\":{\"quota\":-1}", "cpu.max"), "max 100000");
	assert_string_equal(cgroup_file("\"cpu\":{\"shares\":1024}", "cpu.weight"), "39");
	assert_string_equal(cgroup_file("\"cpu\":{\"shares\":2}", "cpu.weight"), "1");
	assert_string_equal(cgroup_file("\"cpu\":{\"shares\":262144}", "cpu.weight"), "10000");
	assert_string_equal(cgroup_file("\"cpu\":{\"cpus\":\"0-1\"}", "cpuset.cpus"), "0-1");
	assert_string_equal(cgroup_file("\"unified\":{\"memory.high\":\"9\"}", "memory.high"), "9");
	assert_string_equal(cgroup_file("\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":0}]", "hugetlb.2MB.max"), "0");
	assert_string_equal(cgroup_file("\"devices\":[{\"allow\":false,\"access\":\"rwm\"},{\"allow\":true,\"type\":\"c\",\"major\":1}]", "x"), "");
}

static void process_fields(void **state)
{
	const struct record_rlimit *l;
	struct err e;

	(void)state;
	if (compile(START ",\"env\":[\"A=1\",\"PATH=/x\"],\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1,\"hard\":18446744073709551615}],"
		"\"oomScoreAdj\":-7,\"noNewPrivileges\":true,\"terminal\":true,\"capabilities\":{\"bounding\":[\"CAP_KILL\",\"CAP_CHOWN\"],"
		"\"effective\":[\"CAP_KILL\"],\"permitted\":[\"CAP_KILL\"],\"ambient\":[\"CAP_KILL\"],\"inheritable\":[]}" LINUX
		",\"sysctl\":{\"net.ipv4.ip_forward\":\"1\",\"net/ipv4/conf/eth0.1/x\":\"2\"},\"maskedPaths\":[\"/proc/x\"],"
		"\"devices\":[{\"path\":\"/dev/x\",\"type\":\"c\",\"major\":1,\"minor\":3,\"fileMode\":384,\"uid\":5,\"gid\":6}],"
		"\"cgroupsPath\":\"/a/b\"},\"hostname\":\"h\"}", &e) < 0)
		fail_msg("%s", e.text);
	l = record_items(head, head->rlimits);
	assert_int_equal(l->hard, UINT64_MAX);
	assert_string_equal(text_of(head->path_env), "/x");
	assert_int_equal(head->oom_score_adj, -7);
	assert_true(head->flags & RECORD_OOM_SCORE && head->flags & RECORD_NO_NEW_PRIVS && head->flags & RECORD_TERMINAL);
	assert_int_equal(head->cap_bounding, 1 << CAP_KILL | 1 << CAP_CHOWN);
	assert_int_equal(head->cap_ambient, 0);	/* not inheritable: cannot be ambient */
	assert_string_equal(text_of(((const struct record_pair *)record_items(head, head->sysctls))[0].key), "net/ipv4/ip_forward");
	assert_string_equal(text_of(((const struct record_pair *)record_items(head, head->sysctls))[1].key), "net/ipv4/conf/eth0.1/x");
	assert_int_equal(((const struct record_device *)record_items(head, head->devices))->mode, S_IFCHR | 0600);
	assert_string_equal(text_of(head->cgroup), "/a/b");
	assert_string_equal(text_of(head->hostname), "h");
}

static void refused_by_path(void **state)
{
	static const struct {
		const char *text, *want;
	} bad[] = {
		{ "[]", "is no object" },
		{ "{", "config.json: byte" },
		{ "{\"ociVersion\":\"2.0\"}", "config.json: ociVersion: is \"2.0\"" },
		{ START ",\"args\":[]" LINUX END, NULL },	/* the first args counts: no error, and no second reading */
		{ START ",\"apparmorProfile\":\"x\"" LINUX END, "config.json: process.apparmorProfile: not supported" },
		{ START ",\"env\":[\"A=1\",\"B\"]" LINUX END, "config.json: process.env[1]: \"B\" is not NAME=VALUE" },
		{ START ",\"env\":[\"A=\\u0000\"]" LINUX END, "config.json: process.env[0]: has a NUL byte" },
		{ START ",\"env\":\"A=1\"" LINUX END, "config.json: process.env: is no array" },
		{ START ",\"rlimits\":[{\"type\":\"RLIMIT_WHAT\",\"soft\":1,\"hard\":1}]" LINUX END, "config.json: process.rlimits[0].type: no limit" },
		{ START ",\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1},{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1}]" LINUX END,
			"rlimits[1].type: RLIMIT_CPU is there twice" },
		{ START ",\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2,\"hard\":1}]" LINUX END, "soft is larger than hard" },
		{ START ",\"oomScoreAdj\":-1001" LINUX END, "config.json: process.oomScoreAdj: is no whole number from -1000 to 1000" },
		{ START ",\"capabilities\":{\"effective\":[\"CAP_KILL\"]}" LINUX END, "process.capabilities.effective: has what permitted has not" },
		{ START LINUX ",\"namespaces\":[]" END, NULL },
		{ START "},\"linux\":{\"namespaces\":[{\"type\":\"pid\"}]" END, "without a mount namespace" },
		{ START "},\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"mount\"}]" END, "namespaces[1].type: mount is there twice" },
		{ START "},\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"time\"}]" END, "namespaces[1].type: not supported: namespace \"time\"" },
		{ START "},\"linux\":{\"namespaces\":[{\"type\":\"mount\",\"path\":\"/x\"}]" END, "joining a mount namespace" },
		{ START "},\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\"}]" END, "needs uidMappings and gidMappings" },
		{ START LINUX ",\"intelRdt\":{\"closID\":\"x\"}" END, "config.json: linux.intelRdt: not supported" },
		{ START LINUX ",\"rootfsPropagation\":\"shared\"" END, "config.json: linux.rootfsPropagation: not supported" },
		{ START LINUX ",\"sysctl\":{\"kernel.panic\":\"1\"}" END, "config.json: linux.sysctl.kernel.panic: refused" },
		{ START LINUX ",\"sysctl\":{\"net..ipv4\":\"1\",\"net/../kernel/panic\":\"1\"}" END, "refused" },
		{ START "},\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}" END, "refused" },
		{ START LINUX ",\"devices\":[{\"path\":\"/etc/x\",\"type\":\"c\",\"major\":1,\"minor\":1}]" END, "devices[0].path: not supported: a device outside /dev" },
		{ START LINUX ",\"devices\":[{\"path\":\"/dev/../x\",\"type\":\"c\",\"major\":1,\"minor\":1}]" END, "a device outside /dev" },
		{ START LINUX ",\"resources\":{\"network\":{\"classID\":1}}" END, "config.json: linux.resources.network: not supported" },
		{ START LINUX ",\"resources\":{\"memory\":{\"swappiness\":1}}" END, "linux.resources.memory.swappiness: not supported" },
		{ START LINUX ",\"resources\":{\"memory\":{\"swap\":5}}" END, "needs limit" },
		{ START LINUX ",\"resources\":{\"unified\":{\"cgroup.procs\":\"1\"}}" END, "linux.resources.unified.cgroup.procs: refused" },
		{ START LINUX ",\"resources\":{\"unified\":{\"../memory.max\":\"1\"}}" END, "refused" },
		{ START LINUX ",\"maskedPaths\":[\"x\"]" END, "linux.maskedPaths[0]: must be an absolute path" },
		{ START LINUX ",\"cgroupsPath\":\"/a/../../b\"" END, "linux.cgroupsPath: leads upwards" },
		{ START LINUX ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_WHAT\"}" END, "linux.seccomp.defaultAction: not supported: \"SCMP_ACT_WHAT\"" },
		{ START LINUX ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/x\"}" END, "linux.seccomp.listenerPath: not supported" },
		{ START LINUX ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_VAX\"]}" END, "architectures[0]: not supported" },
		{ START LINUX ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":6,\"value\":0,\"op\":\"SCMP_CMP_EQ\"}]}]}" END,
			"syscalls[0].args[0].index: is no whole number from 0 to 5" },
		{ START LINUX "},\"hooks\":{\"poststart\":[{\"path\":\"/x\"}]}}", "config.json: hooks.poststart: not supported" },
		{ START LINUX "},\"windows\":{\"x\":1}}", "config.json: windows: not supported" },
		{ START LINUX "},\"mounts\":[{\"destination\":\"x\",\"type\":\"tmpfs\"}]}", "config.json: mounts[0].destination: must be an absolute path" },
		{ START LINUX "},\"mounts\":[{\"destination\":\"/x\"}]}", "config.json: mounts[0].type: is missing" },
		{ START LINUX "},\"mounts\":[{\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"tmpcopyup\"]}]}", "mounts[0].options[0]: not supported: mount option \"tmpcopyup\"" },
		{ START LINUX "},\"mounts\":[{\"destination\":\"/x\",\"source\":\"/y\",\"options\":[\"bind\",\"size=1\"]}]}", "takes no file system options" },
		{ START LINUX "},\"mounts\":[{\"destination\":\"/x\",\"type\":\"tmpfs\",\"uidMappings\":[{\"size\":1}]}]}", "mounts[0]: not supported: an id-mapped mount" },
		{ "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"/\"}," PROCESS LINUX END, "the host's own root" },
		{ "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"/nowhere/at/all\"}," PROCESS LINUX END, "config.json: root.path: /nowhere/at/all" },
		{ "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}", "config.json: process: is missing" },
		{ "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"args\":[\"a\"],\"cwd\":\"x\"" LINUX END, "process.cwd: must be an absolute path" },
		{ "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"uid\":4294967296}" LINUX END, "process.user.uid: is no whole number" },
		{ "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"uid\":4294967295}" LINUX END, "4294967295 is no id" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err e;
		int r = compile(bad[i].text, &e);

		if (bad[i].want ? r >= 0 || !strstr(e.text, bad[i].want) : r < 0)
			fail_msg("%s -> %d %s", bad[i].text, r, e.text);
	}
}

static void what_does_not_fit_is_said(void **state)
{
	static char text[200000];
	struct err e;
	size_t at = (size_t)snprintf(text, sizeof(text), START ",\"env\":[\"X=");

	(void)state;
	memset(text + at, 'x', 100000);
	strcpy(text + at + 100000, "\"]" LINUX END);
	assert_int_equal(compile(text, &e), -EFBIG);
	assert_non_null(strstr(e.text, "CONFIG_RECORD_MAX"));
}

static void records_are_reproducible(void **state)
{
	static uint8_t first[CONFIG_RECORD_MAX];
	struct err e;
	size_t len;

	(void)state;
	assert_int_equal(compile(START LINUX END, &e), 0);
	len = built.used;
	memcpy(first, built.bytes, len);
	assert_int_equal(compile(START LINUX END, &e), 0);
	assert_int_equal(built.used, len);
	assert_memory_equal(first, built.bytes, len);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(minimal),
		cmocka_unit_test(base_is_below_all),
		cmocka_unit_test(mounts),
		cmocka_unit_test(limits),
		cmocka_unit_test(process_fields),
		cmocka_unit_test(refused_by_path),
		cmocka_unit_test(what_does_not_fit_is_said),
		cmocka_unit_test(records_are_reproducible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
