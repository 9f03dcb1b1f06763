/* SPDX-License-Identifier: MIT */
/* config.json's `linux` but resources and seccomp: namespaces, id maps, devices, paths, sysctls (runtime-spec config-linux.md). */
#include <errno.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "compile_inner.h"

enum { NAMESPACES_MAX = 16, MAPS_MAX = 340, DEVICES_MAX = 64, PATHS_MAX = 128, SYSCTLS_MAX = 64, SECRETS_MAX = 32 };

static const struct {
	const char *name;
	uint32_t flag;
} namespaces[] = {
	{ "pid", CLONE_NEWPID }, { "network", CLONE_NEWNET }, { "mount", CLONE_NEWNS }, { "ipc", CLONE_NEWIPC },
	{ "uts", CLONE_NEWUTS }, { "user", CLONE_NEWUSER }, { "cgroup", CLONE_NEWCGROUP },
};

static int one_namespace(struct compile *c, const struct jv *j, struct record_ns *join, uint32_t *joined)
{
	struct jv type = jv_get(j, "type"), path = jv_get(j, "path");
	const char *name = NULL, *at = NULL;
	size_t i = 0;
	int r = jv_str(&type, &name, c->e);

	if (r == 0)
		r = jv_str(&path, &at, c->e);
	if (r < 0)
		return r;
	while (name && i < sizeof(namespaces) / sizeof(*namespaces) && strcmp(namespaces[i].name, name) != 0)
		i++;
	if (!name || i == sizeof(namespaces) / sizeof(*namespaces))
		return err_set(c->e, name && strcmp(name, "time") == 0 ? -ENOTSUP : -EBADMSG,
			"%s: not supported: namespace \"%s\"", type.path, name ? name : "");
	if ((c->head->clone_flags | *joined) & namespaces[i].flag)
		return err_set(c->e, -EBADMSG, "%s: %s is there twice", type.path, name);
	if (!at || !at[0]) {
		c->head->clone_flags |= namespaces[i].flag;
		return 0;
	}
	if (namespaces[i].flag & (CLONE_NEWNS | CLONE_NEWUSER))
		return err_set(c->e, -ENOTSUP, "%s: not supported: joining a %s namespace", path.path, name);
	if (at[0] != '/')
		return err_set(c->e, -EBADMSG, "%s: must be an absolute path", path.path);
	*joined |= namespaces[i].flag;
	join->clone_flag = namespaces[i].flag;
	join->path = record_build_str(c->b, at);
	return 1;
}

static int id_maps(struct compile *c, const struct jv *linux_, const char *key, struct record_list *list)
{
	struct jv maps = jv_get(linux_, key);
	struct record_idmap *out;
	size_t count;
	int r = jv_array(&maps, MAPS_MAX, &count, c->e);

	out = r == 0 ? record_build_list(c->b, list, count, sizeof(*out)) : NULL;
	for (size_t i = 0; out && r == 0 && i < count; i++) {
		struct jv one = jv_at(&maps, i), inside = jv_get(&one, "containerID"), outside = jv_get(&one, "hostID");
		struct jv size = jv_get(&one, "size");

		r = jv_u32(&inside, &out[i].inside, c->e);
		if (r == 0)
			r = jv_u32(&outside, &out[i].outside, c->e);
		if (r == 0)
			r = jv_u32(&size, &out[i].count, c->e);
		if (r == 0 && out[i].count == 0)
			r = err_set(c->e, -EBADMSG, "%s: must not be 0", size.path);
	}
	return r;
}

/* What our own bundles say beside the standard's words (oci_config.c). */
static int optional(struct compile *c)
{
	static const struct { const char *name, *value; uint32_t flag; } words[] = {
		{ "org.coracle.userns", "optional", RECORD_USERNS_OPTIONAL }, { "org.coracle.init", "yes", RECORD_INIT },
	};
	struct jv all = jv_get(&c->root, "annotations");
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(words) / sizeof(*words); i++) {
		struct jv one = jv_get(&all, words[i].name);
		const char *text = NULL;

		r = jv_str(&one, &text, c->e);
		if (r == 0 && text && strcmp(text, words[i].value) == 0)
			c->head->flags |= words[i].flag;
	}
	return r;
}

/* org.coracle.secret.NAME: "UID GID MODE SOURCE" (oci_config.c). The starter fills the tmpfs at /run/secrets with them. */
static int secrets(struct compile *c)
{
	static const char prefix[] = "org.coracle.secret.";
	struct jv all = jv_get(&c->root, "annotations");
	struct record_secret *out;
	yyjson_val *key, *value;
	size_t i, max, count = 0;

	yyjson_obj_foreach(all.v, i, max, key, value)
		count += strncmp(yyjson_get_str(key), prefix, sizeof(prefix) - 1) == 0;
	out = count <= SECRETS_MAX ? record_build_list(c->b, &c->head->secrets, count, sizeof(*out)) : NULL;
	if (count > SECRETS_MAX)
		return err_set(c->e, -EFBIG, "%s: more than %d secrets", all.path, SECRETS_MAX);
	yyjson_obj_foreach(all.v, i, max, key, value) {
		const char *name = yyjson_get_str(key) + sizeof(prefix) - 1, *text = yyjson_get_str(value);
		int at = 0;

		if (!out || strncmp(yyjson_get_str(key), prefix, sizeof(prefix) - 1) != 0)
			continue;
		if (!text || sscanf(text, "%u %u %u %n", &out->uid, &out->gid, &out->mode, &at) != 3 || text[at] != '/' || out->mode > 0777 || !*name ||
		    strchr(name, '/') || name[0] == '.')
			return err_set(c->e, -EBADMSG, "%s.%s: is no \"UID GID MODE SOURCE\" of a file", all.path, yyjson_get_str(key));
		out->name = record_build_str(c->b, name);
		out->source = record_build_str(c->b, text + at);
		out++;
	}
	return 0;
}

int compile_namespaces(struct compile *c)
{
	struct jv lin = jv_get(&c->root, "linux"), list = jv_get(&lin, "namespaces");
	struct record_ns found[NAMESPACES_MAX] = { { 0 } }, *out;
	uint32_t joined = 0, count = 0;
	size_t len;
	int r = jv_array(&list, NAMESPACES_MAX, &len, c->e);

	for (size_t i = 0; r >= 0 && i < len; i++) {
		struct jv one = jv_at(&list, i);

		r = one_namespace(c, &one, &found[count], &joined);
		count += r == 1;
	}
	if (r < 0)
		return r;
	if (!(c->head->clone_flags & CLONE_NEWNS))
		return err_set(c->e, -ENOTSUP, "%s: not supported: a container without a mount namespace of its own", list.path);
	out = record_build_list(c->b, &c->head->ns_join, count, sizeof(*out));
	if (out)
		memcpy(out, found, count * sizeof(*out));
	r = optional(c);
	if (r == 0)
		r = id_maps(c, &lin, "uidMappings", &c->head->uid_map);
	if (r == 0)
		r = id_maps(c, &lin, "gidMappings", &c->head->gid_map);
	if (r == 0 && !(c->head->clone_flags & CLONE_NEWUSER) && (c->head->uid_map.count || c->head->gid_map.count))
		r = err_set(c->e, -EBADMSG, "%s: id mappings need a user namespace", list.path);
	if (r == 0 && c->head->clone_flags & CLONE_NEWUSER && (!c->head->uid_map.count || !c->head->gid_map.count))
		r = err_set(c->e, -EBADMSG, "%s: a user namespace needs uidMappings and gidMappings", list.path);
	return r;
}

static int one_device(struct compile *c, const struct jv *j, struct record_device *d)
{
	struct jv type = jv_get(j, "type"), path = jv_get(j, "path"), mode = jv_get(j, "fileMode");
	struct jv major = jv_get(j, "major"), minor = jv_get(j, "minor"), uid = jv_get(j, "uid"), gid = jv_get(j, "gid");
	const char *kind = NULL, *at = NULL;
	uint64_t bits = 0666, number = 0;
	int r = jv_str(&type, &kind, c->e);

	if (r == 0)
		r = jv_str(&path, &at, c->e);
	if (r == 0 && (!at || strncmp(at, "/dev/", 5) != 0 || strstr(at, "/../") || !at[5]))
		r = err_set(c->e, -ENOTSUP, "%s: not supported: a device outside /dev", path.path);
	if (r == 0 && (!kind || strlen(kind) != 1 || !strchr("cubp", kind[0])))
		r = err_set(c->e, -EBADMSG, "%s: must be c, u, b or p", type.path);
	if (r == 0)
		r = jv_u64(&mode, 07777, &bits, c->e);
	if (r < 0)
		return r;
	d->mode = (uint32_t)bits | (kind[0] == 'b' ? S_IFBLK : kind[0] == 'p' ? S_IFIFO : S_IFCHR);
	if (kind[0] != 'p' && (!major.v || !minor.v))
		return err_set(c->e, -EBADMSG, "%s: needs major and minor", j->path);
	r = jv_u64(&major, 4095, &number, c->e);
	d->major = (uint32_t)number;
	number = 0;
	if (r == 0)
		r = jv_u64(&minor, 0xfffff, &number, c->e);
	d->minor = (uint32_t)number;
	if (r == 0)
		r = jv_u32(&uid, &d->uid, c->e);
	if (r == 0)
		r = jv_u32(&gid, &d->gid, c->e);
	d->path = record_build_str(c->b, at);
	return r;
}

static int devices(struct compile *c, const struct jv *lin)
{
	struct jv list = jv_get(lin, "devices");
	struct record_device *out;
	size_t count;
	int r = jv_array(&list, DEVICES_MAX, &count, c->e);

	out = r == 0 ? record_build_list(c->b, &c->head->devices, count, sizeof(*out)) : NULL;
	for (size_t i = 0; out && r == 0 && i < count; i++) {
		struct jv one = jv_at(&list, i);

		r = one_device(c, &one, &out[i]);
	}
	return r;
}

static int paths(struct compile *c, const struct jv *lin, const char *key, struct record_list *list)
{
	struct jv j = jv_get(lin, key);
	int r = compile_strings(c, &j, PATHS_MAX, list);

	for (uint32_t i = 0; r == 0 && i < list->count; i++) {
		struct jv one = jv_at(&j, i);

		if (yyjson_get_str(one.v)[0] != '/')
			r = err_set(c->e, -EBADMSG, "%s: must be an absolute path", one.path);
	}
	return r;
}

/* Only what belongs to a namespace that is the container's own: any other sysctl changes the host. */
static bool is_own(const struct compile *c, const char *key)
{
	static const struct {
		const char *prefix;
		uint32_t flag;
	} own[] = {
		{ "net/", CLONE_NEWNET }, { "kernel/msg", CLONE_NEWIPC }, { "kernel/sem", CLONE_NEWIPC },
		{ "kernel/shm", CLONE_NEWIPC }, { "fs/mqueue/", CLONE_NEWIPC }, { "kernel/domainname", CLONE_NEWUTS },
		{ "kernel/hostname", CLONE_NEWUTS },
	};

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (strncmp(key, own[i].prefix, strlen(own[i].prefix)) == 0)
			return c->head->clone_flags & own[i].flag;
	return false;
}

/* man 8 sysctl: the first separator decides; with a slash first, dots are part of names (interfaces eth0.1). */
static void sysctl_path(const char *name, char *out, size_t size)
{
	bool has_dots = name[strcspn(name, "./")] != '/';

	snprintf(out, size, "%s", name);
	for (char *p = out; has_dots && *p; p++)
		*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
}

static int sysctls(struct compile *c, const struct jv *lin)
{
	struct jv object = jv_get(lin, "sysctl");
	struct record_pair *out;
	yyjson_val *key, *value;
	size_t i, max;
	int r = jv_object(&object, c->e);

	if (r < 0 || !object.v)
		return r;
	if (yyjson_obj_size(object.v) > SYSCTLS_MAX)
		return err_set(c->e, -EFBIG, "%s: more than %d", object.path, SYSCTLS_MAX);
	out = record_build_list(c->b, &c->head->sysctls, yyjson_obj_size(object.v), sizeof(*out));
	yyjson_obj_foreach(object.v, i, max, key, value) {
		char path[256];
		const char *name = yyjson_get_str(key);

		if (!out)
			break;
		if (!yyjson_is_str(value) || strlen(yyjson_get_str(value)) != yyjson_get_len(value))
			return err_set(c->e, -EBADMSG, "%s.%.80s: is no string", object.path, name);
		sysctl_path(name, path, sizeof(path));
		if (strlen(name) >= sizeof(path) || path[0] == '/' || strstr(path, "..") || !is_own(c, path))
			return err_set(c->e, -EINVAL, "%s.%.80s: refused: not a setting of a namespace that the container has of its own",
				object.path, name);
		out[i].key = record_build_str(c->b, path);
		out[i].value = record_build_str(c->b, yyjson_get_str(value));
	}
	return 0;
}

static int propagation(struct compile *c, const struct jv *lin)
{
	struct jv j = jv_get(lin, "rootfsPropagation");
	const char *text = NULL;
	int r = jv_str(&j, &text, c->e);

	if (r < 0 || !text || !text[0])
		return r;
	/* The program's mount tree is private to it in any case; the two kinds that would let its mounts out are refused. */
	if (strcmp(text, "private") == 0 || strcmp(text, "rprivate") == 0 || strcmp(text, "slave") == 0 ||
	    strcmp(text, "rslave") == 0)
		return 0;
	return err_set(c->e, -ENOTSUP, "%s: not supported: \"%.40s\" (private or slave are)", j.path, text);
}

static int refused(struct compile *c, const struct jv *lin)
{
	static const struct {
		const char *key, *why;
	} list[] = {
		{ "mountLabel", "no SELinux here: take the property out" },
		{ "intelRdt", "take the property out" },
		{ "personality", "take the property out" },
		{ "timeOffsets", "take the property out" },
		{ "netDevices", "take the property out" },
		{ "memoryPolicy", "take the property out" },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct jv j = jv_get(lin, list[i].key);
		int r = jv_refuse(&j, list[i].why, c->e);

		if (r < 0)
			return r;
	}
	return 0;
}

int compile_linux(struct compile *c)
{
	struct jv lin = jv_get(&c->root, "linux"), cgroup = jv_get(&lin, "cgroupsPath");
	struct jv resources = jv_get(&lin, "resources"), seccomp = jv_get(&lin, "seccomp");
	const char *path = NULL;
	int r = refused(c, &lin);

	if (r == 0)
		r = propagation(c, &lin);
	if (r == 0)
		r = devices(c, &lin);
	if (r == 0)
		r = paths(c, &lin, "maskedPaths", &c->head->masked);
	if (r == 0)
		r = paths(c, &lin, "readonlyPaths", &c->head->readonly);
	if (r == 0)
		r = sysctls(c, &lin);
	if (r == 0)
		r = jv_str(&cgroup, &path, c->e);
	if (r == 0 && path && (strstr(path, "/../") || strncmp(path, "../", 3) == 0))
		r = err_set(c->e, -EINVAL, "%s: leads upwards", cgroup.path);
	if (r == 0)
		c->head->cgroup = record_build_str(c->b, path);
	if (r == 0)
		r = compile_resources(c, &resources);
	if (r == 0)
		r = secrets(c);
	if (r == 0)
		r = compile_seccomp(c, &seccomp);
	return r;
}
