/* SPDX-License-Identifier: MIT */
/* config.json's `process` into the record: arguments, environment, user, limits, capabilities (runtime-spec config.md "Process"). */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "caps.h"
#include "compile_inner.h"

enum { ARGS_MAX = 1024, ENV_MAX = 1024, GROUPS_MAX = 256, RLIMITS_MAX = 16 };

static const struct {
	const char *name;
	uint32_t number;
} rlimit_names[] = {
	{ "RLIMIT_AS", RLIMIT_AS }, { "RLIMIT_CORE", RLIMIT_CORE }, { "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA }, { "RLIMIT_FSIZE", RLIMIT_FSIZE }, { "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK }, { "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE }, { "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE }, { "RLIMIT_NPROC", RLIMIT_NPROC }, { "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO }, { "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING }, { "RLIMIT_STACK", RLIMIT_STACK },
};

static int command(struct compile *c, const struct jv *process)
{
	struct jv args = jv_get(process, "args"), env = jv_get(process, "env"), cwd = jv_get(process, "cwd");
	const char *text = NULL;
	int r = compile_strings(c, &args, ARGS_MAX, &c->head->args);

	if (r == 0 && c->head->args.count == 0 && !c->b->is_full)
		r = err_set(c->e, -EBADMSG, "%s: must name at least the program", args.path);
	if (r == 0)
		r = compile_strings(c, &env, ENV_MAX, &c->head->env);
	for (uint32_t i = 0; r == 0 && i < c->head->env.count; i++) {
		struct jv one = jv_at(&env, i);

		text = yyjson_get_str(one.v);
		if (!strchr(text, '=') || text[0] == '=')
			r = err_set(c->e, -EBADMSG, "%s: \"%.80s\" is not NAME=VALUE", one.path, text);
		else if (strncmp(text, "PATH=", 5) == 0 && !c->head->path_env.off)
			c->head->path_env = record_build_str(c->b, text + 5);
	}
	text = NULL;
	if (r == 0)
		r = jv_str(&cwd, &text, c->e);
	if (r == 0 && (!text || text[0] != '/'))
		r = err_set(c->e, -EBADMSG, "%s: must be an absolute path", cwd.path);
	if (r == 0)
		c->head->cwd = record_build_str(c->b, text);
	return r;
}

/* An id that the user namespace does not have would be nobody, and nobody's files. */
static int mapped(struct compile *c, const struct jv *j, struct record_list map, uint32_t id)
{
	const struct record_idmap *m = record_items(c->head, map);

	for (uint32_t i = 0; i < map.count; i++)
		if (id >= m[i].inside && id - m[i].inside < m[i].count)
			return 0;
	return map.count ? err_set(c->e, -EINVAL, "%s: %u is not mapped: it is outside of the user namespace's range", j->path, id) : 0;
}

static int user(struct compile *c, const struct jv *process)
{
	struct jv u = jv_get(process, "user"), uid = jv_get(&u, "uid"), gid = jv_get(&u, "gid");
	struct jv mask = jv_get(&u, "umask"), groups = jv_get(&u, "additionalGids"), name = jv_get(&u, "username");
	uint64_t bits = 0;
	uint32_t *out;
	size_t count = 0;
	int r = jv_object(&u, c->e);

	if (r == 0)
		r = jv_u32(&uid, &c->head->uid, c->e);
	if (r == 0)
		r = jv_u32(&gid, &c->head->gid, c->e);
	/* -1 means "leave it" to setresuid: it would silently stay root. */
	if (r == 0 && (c->head->uid == UINT32_MAX || c->head->gid == UINT32_MAX))
		r = err_set(c->e, -EBADMSG, "%s: 4294967295 is no id", u.path);
	if (r == 0)
		r = mapped(c, &uid, c->head->uid_map, c->head->uid);
	if (r == 0)
		r = mapped(c, &gid, c->head->gid_map, c->head->gid);
	if (r == 0)
		r = jv_u64(&mask, 0777, &bits, c->e);
	if (r == 0 && mask.v) {
		c->head->umask = (uint32_t)bits;
		c->head->flags |= RECORD_UMASK;
	}
	if (r == 0)
		r = jv_refuse(&name, "user names are for Windows", c->e);
	if (r == 0)
		r = jv_array(&groups, GROUPS_MAX, &count, c->e);
	out = r == 0 ? record_build_list(c->b, &c->head->groups, count, sizeof(*out)) : NULL;
	for (size_t i = 0; out && r == 0 && i < count; i++) {
		struct jv one = jv_at(&groups, i);

		r = one.v ? jv_u32(&one, &out[i], c->e) : err_set(c->e, -EBADMSG, "%s: is no number", one.path);
		if (r == 0)
			r = mapped(c, &one, c->head->gid_map, out[i]);
	}
	c->head->flags |= RECORD_SETGROUPS;
	return r;
}

static int rlimit(struct compile *c, const struct jv *j, struct record_rlimit *out, uint64_t *seen)
{
	struct jv type = jv_get(j, "type"), soft = jv_get(j, "soft"), hard = jv_get(j, "hard");
	const char *name = NULL;
	size_t i = 0;
	int r = jv_str(&type, &name, c->e);

	if (r < 0)
		return r;
	while (name && i < sizeof(rlimit_names) / sizeof(*rlimit_names) && strcmp(rlimit_names[i].name, name) != 0)
		i++;
	if (!name || i == sizeof(rlimit_names) / sizeof(*rlimit_names))
		return err_set(c->e, -EBADMSG, "%s: no limit of the name \"%s\" (RLIMIT_NOFILE, RLIMIT_CORE, ...)",
			type.path, name ? name : "");
	if (*seen >> rlimit_names[i].number & 1)
		return err_set(c->e, -EBADMSG, "%s: %s is there twice", type.path, name);
	*seen |= 1ull << rlimit_names[i].number;
	out->resource = rlimit_names[i].number;
	if (!soft.v || !hard.v)
		return err_set(c->e, -EBADMSG, "%s: needs soft and hard", j->path);
	r = jv_u64(&soft, UINT64_MAX, &out->soft, c->e);
	if (r == 0)
		r = jv_u64(&hard, UINT64_MAX, &out->hard, c->e);
	if (r == 0 && out->soft > out->hard)
		r = err_set(c->e, -EBADMSG, "%s: soft is larger than hard", j->path);
	return r;
}

static int rlimits(struct compile *c, const struct jv *process)
{
	struct jv list = jv_get(process, "rlimits");
	struct record_rlimit *out;
	uint64_t seen = 0;
	size_t count;
	int r = jv_array(&list, RLIMITS_MAX, &count, c->e);

	out = r == 0 ? record_build_list(c->b, &c->head->rlimits, count, sizeof(*out)) : NULL;
	for (size_t i = 0; out && r == 0 && i < count; i++) {
		struct jv one = jv_at(&list, i);

		r = rlimit(c, &one, &out[i], &seen);
	}
	return r;
}

/* "Any value which cannot be mapped to a relevant kernel interface MUST be logged as a warning" (config.md, "Linux Process"). */
static int cap_set(struct compile *c, const struct jv *caps, const char *key, uint64_t *out)
{
	struct jv list = jv_get(caps, key);
	size_t count;
	int r = jv_array(&list, 64, &count, c->e);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(&list, i);
		const char *name = NULL;
		int number;

		r = jv_str(&one, &name, c->e);
		if (r < 0 || !name)
			continue;
		number = strncmp(name, "CAP_", 4) == 0 ? caps_number(name) : -1;
		if (number < 0)
			compile_note("%s: no capability of the name %s: not granted", one.path, name);
		else
			*out |= 1ull << number;
	}
	return r;
}

static int capabilities(struct compile *c, const struct jv *process)
{
	struct jv caps = jv_get(process, "capabilities");
	struct record_head *h = c->head;
	int r = jv_object(&caps, c->e);

	if (r == 0)
		r = cap_set(c, &caps, "bounding", &h->cap_bounding);
	if (r == 0)
		r = cap_set(c, &caps, "effective", &h->cap_effective);
	if (r == 0)
		r = cap_set(c, &caps, "permitted", &h->cap_permitted);
	if (r == 0)
		r = cap_set(c, &caps, "inheritable", &h->cap_inheritable);
	if (r == 0)
		r = cap_set(c, &caps, "ambient", &h->cap_ambient);
	if (r == 0 && h->cap_effective & ~h->cap_permitted)
		r = err_set(c->e, -EBADMSG, "%s.effective: has what permitted has not", caps.path);
	/* man 7 capabilities: nothing can be ambient that is not permitted and inheritable. */
	if (r == 0 && h->cap_ambient & ~(h->cap_permitted & h->cap_inheritable)) {
		compile_note("%s.ambient: what is not in permitted and inheritable too is not granted", caps.path);
		h->cap_ambient &= h->cap_permitted & h->cap_inheritable;
	}
	return r;
}

static int flags(struct compile *c, const struct jv *process)
{
	struct jv terminal = jv_get(process, "terminal"), nnp = jv_get(process, "noNewPrivileges");
	struct jv oom = jv_get(process, "oomScoreAdj");
	bool is_terminal = false, is_nnp = false;
	struct jv size = jv_get(process, "consoleSize"), rows = jv_get(&size, "height"), cols = jv_get(&size, "width");
	uint64_t row = 0, col = 0;
	int64_t score = 0;
	int r = jv_bool(&terminal, &is_terminal, c->e);

	if (r == 0)
		r = jv_u64(&rows, UINT16_MAX, &row, c->e);
	if (r == 0)
		r = jv_u64(&cols, UINT16_MAX, &col, c->e);
	c->head->rows = is_terminal ? (uint32_t)row : 0;
	c->head->cols = is_terminal ? (uint32_t)col : 0;

	if (r == 0)
		r = jv_bool(&nnp, &is_nnp, c->e);
	if (r == 0)
		r = jv_i64(&oom, -1000, 1000, &score, c->e);
	if (r == 0 && oom.v) {
		c->head->oom_score_adj = (int32_t)score;
		c->head->flags |= RECORD_OOM_SCORE;
	}
	c->head->flags |= (is_terminal ? RECORD_TERMINAL : 0) | (is_nnp ? RECORD_NO_NEW_PRIVS : 0);
	return r;
}

static int refused(struct compile *c, const struct jv *process)
{
	static const struct {
		const char *key, *why;
	} list[] = {
		{ "apparmorProfile", "no AppArmor here: take the property out" },
		{ "selinuxLabel", "no SELinux here: take the property out" },
		{ "commandLine", "it is for Windows: use args" },
		{ "ioPriority", "use linux.resources.unified with io.weight" },
		{ "scheduler", "use linux.resources.cpu" },
		{ "execCPUAffinity", "use linux.resources.cpu.cpus" },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct jv j = jv_get(process, list[i].key);
		int r = jv_refuse(&j, list[i].why, c->e);

		if (r < 0)
			return r;
	}
	return 0;
}

int compile_process(struct compile *c)
{
	struct jv process = jv_get(&c->root, "process");
	int r;

	if (!process.v || !yyjson_is_obj(process.v))
		return err_set(c->e, -EBADMSG, "%s: is missing: nothing to run", process.path);
	r = refused(c, &process);
	if (r == 0)
		r = command(c, &process);
	if (r == 0)
		r = user(c, &process);
	if (r == 0)
		r = rlimits(c, &process);
	if (r == 0)
		r = capabilities(c, &process);
	if (r == 0)
		r = flags(c, &process);
	return r;
}
