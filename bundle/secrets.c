/* SPDX-License-Identifier: MIT */
/* Input: files of images, bytes of anybody. Never allocates; looks at each byte once and at candidates a second time. */
#include "secrets.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, DISTINCT_PART = 3 };

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define ALNUM LOWER UPPER DIGITS
#define URL64 ALNUM "_-"

/* PREFIX, then at least MIN and at most MAX of ALPHABET, then nothing of it. INFIX: what has to stand somewhere among them. */
static const struct shape {
	const char *what, *prefix, *alphabet;
	unsigned short min, max;
	const char *infix;
} shapes[] = {
	{ "AWS access key", "AKIA", UPPER "234567", 16, 16, NULL },
	{ "AWS access key", "ASIA", UPPER "234567", 16, 16, NULL },
	{ "GitHub token", "ghp_", ALNUM, 36, 36, NULL },
	{ "GitHub token", "gho_", ALNUM, 36, 36, NULL },
	{ "GitHub token", "ghu_", ALNUM, 36, 36, NULL },
	{ "GitHub token", "ghs_", ALNUM, 36, 36, NULL },
	{ "GitHub token", "ghr_", ALNUM, 36, 36, NULL },
	{ "GitHub token", "github_pat_", ALNUM "_", 60, 100, NULL },
	{ "GitLab token", "glpat-", URL64, 20, 64, NULL },
	{ "GitLab token", "glrt-", URL64, 20, 64, NULL },
	{ "Slack token", "xoxb-", ALNUM "-", 40, 80, "-" },
	{ "Slack token", "xoxp-", ALNUM "-", 40, 80, "-" },
	{ "Slack token", "xoxa-", ALNUM "-", 40, 80, "-" },
	{ "Slack webhook", "https://hooks.slack.com/services/T", ALNUM "/", 40, 60, "/B" },
	{ "Google API key", "AIza", URL64, 35, 35, NULL },
	{ "Google client secret", "GOCSPX-", URL64, 28, 28, NULL },
	{ "Stripe key", "sk_live_", ALNUM, 24, 100, NULL },
	{ "Stripe key", "rk_live_", ALNUM, 24, 100, NULL },
	{ "npm token", "npm_", ALNUM, 36, 36, NULL },
	{ "PyPI token", "pypi-AgEIcHlwaS5vcmc", URL64, 50, 300, NULL },
	{ "SendGrid key", "SG.", URL64 ".", 66, 66, "." },
	{ "DigitalOcean token", "dop_v1_", DIGITS "abcdef", 64, 64, NULL },
	{ "Hugging Face token", "hf_", LOWER UPPER, 34, 34, NULL },
	{ "OpenAI key", "sk-proj-", URL64, 40, 200, NULL },
	{ "OpenAI key", "sk-", ALNUM, 48, 48, "T3BlbkFJ" },
	{ "Anthropic key", "sk-ant-", URL64, 80, 120, NULL },
	{ "Docker Hub token", "dckr_pat_", URL64, 27, 27, NULL },
	{ "Vault token", "hvs.", URL64, 24, 120, NULL },
	{ "age key", "AGE-SECRET-KEY-1", UPPER DIGITS, 58, 58, NULL },
	{ "Azure storage key", "AccountKey=", ALNUM "+/=", 88, 88, "==" },
	{ "JSON web token", "eyJhbGciOi", URL64 ".", 60, 900, ".eyJ" },
	{ "PuTTY key", "PuTTY-User-Key-File-", DIGITS, 1, 1, NULL },
};

enum { SHAPES = sizeof(shapes) / sizeof(*shapes) };

/* "KEY" in a file whose name fits PATTERN, then spaces, and a value that is none of the usual placeholders. */
static const struct assignment {
	const char *what, *pattern, *key;
	unsigned min;
} assignments[] = {
	{ "Wi-Fi password", "*supplicant*.conf", "psk=", 8 },
	{ "Wi-Fi password", "*.nmconnection", "psk=", 8 },
	{ "Wi-Fi password", "*.psk", "Passphrase=", 8 },
	{ "registry password", "config.json", "\"auth\":", 8 },
	{ "registry password", "auth.json", "\"auth\":", 8 },
	{ "registry password", ".dockercfg", "\"auth\":", 8 },
	{ "password file", ".netrc", "password ", 3 },
	{ "password file", ".my.cnf", "password=", 3 },
	{ "npm token", ".npmrc", "_authToken=", 8 },
	{ "password file", ".git-credentials", "https://", 8 },
	{ "environment file with a password", "*.env", "PASSWORD=", 6 },
	{ "environment file with a token", "*.env", "TOKEN=", 8 },
	{ "environment file with a secret", "*.env", "SECRET=", 8 },
	{ "environment file with a key", "*.env", "API_KEY=", 8 },
};

enum { ASSIGNMENTS = sizeof(assignments) / sizeof(*assignments) };

static bool is_word(uint8_t c)
{
	return c && strchr(URL64, c);
}

/* PATTERN of letters and "*". */
static bool fits(const char *pattern, const char *name)
{
	if (*pattern == '*')
		return fits(pattern + 1, name) || (*name && fits(pattern, name + 1));
	return *pattern == *name && (!*name || fits(pattern + 1, name + 1));
}

static bool starts(struct span s, const char *with)
{
	size_t len = strlen(with);

	return s.len >= len && memcmp(s.at, with, len) == 0;
}

/* Repeated letters and words like EXAMPLE are what people write where a secret would be. */
static bool is_placeholder(struct span s)
{
	static const char *const words[] = { "EXAMPLE", "example", "xxxx", "XXXX", "0000000000", "1234567890abcdef", "your", "YOUR", "changeme", "CHANGEME" };
	uint8_t seen[32] = { 0 };
	unsigned distinct = 0;

	for (size_t i = 0; i < s.len; i++) {
		distinct += !(seen[s.at[i] / 8] & 1 << s.at[i] % 8);
		seen[s.at[i] / 8] |= (uint8_t)(1 << s.at[i] % 8);
		for (size_t w = 0; w < sizeof(words) / sizeof(*words); w++)
			if (starts(span_of(s.at + i, s.len - i), words[w]))
				return true;
	}
	return distinct < s.len / DISTINCT_PART && distinct < 12;
}

static size_t run_of(struct span s, const char *alphabet, size_t max)
{
	size_t n = 0;

	while (n < s.len && n < max && s.at[n] && strchr(alphabet, s.at[n]))
		n++;
	return n;
}

static bool has(struct span s, const char *word)
{
	for (size_t i = 0; i < s.len; i++)
		if (starts(span_of(s.at + i, s.len - i), word))
			return true;
	return false;
}

static bool is_shape(struct span s, const struct shape *shape)
{
	size_t prefix = strlen(shape->prefix), n;
	struct span rest;

	if (!starts(s, shape->prefix))
		return false;
	rest = span_of(s.at + prefix, s.len - prefix);
	n = run_of(rest, shape->alphabet, shape->max + 1u);
	if (n < shape->min || n > shape->max || (n < rest.len && is_word(rest.at[n])))
		return false;
	rest.len = n;
	return (!shape->infix || has(rest, shape->infix)) && (shape->max == 1 || !is_placeholder(rest));
}

/* An armour's first line, of TEXT behind "-----BEGIN ", with material under it: a line of base64, after headers of the old form. */
static bool is_armour(struct span s)
{
	static const char *const kinds[] = { "PRIVATE KEY-----", "RSA PRIVATE KEY-----", "EC PRIVATE KEY-----", "DSA PRIVATE KEY-----",
		"OPENSSH PRIVATE KEY-----", "ENCRYPTED PRIVATE KEY-----", "PGP PRIVATE KEY BLOCK-----", "SSH2 ENCRYPTED PRIVATE KEY ----" };
	size_t at = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds) && !at; i++)
		if (starts(s, kinds[i]))
			at = strlen(kinds[i]);
	if (!at)
		return false;
	for (int line = 0; line < 8 && at < s.len; line++) {
		struct span rest = span_of(s.at + at, s.len - at);
		size_t skip = run_of(rest, "\r\n", 4), n;

		/* Also as one line of JSON or of a shell's string: "\n" in letters. */
		if (starts(rest, "\\n"))
			skip = 2;
		rest = span_of(rest.at + skip, rest.len - skip);
		n = run_of(rest, ALNUM "+/=", 80);
		if (skip && n >= 40)
			return !is_placeholder(span_of(rest.at, n));
		n = 0;
		while (n < rest.len && n < 100 && rest.at[n] != '\n' && rest.at[n] >= ' ' && rest.at[n] < 0x7f)
			n++;
		if (n && !memchr(rest.at, ':', n) && n != run_of(rest, ALNUM "+/=", 100))
			return false;
		at += skip + n;
		if (at < s.len && s.at[at] != '\n' && s.at[at] != '\r')
			return false;
	}
	return false;
}

/* ":$6$salt$hash" as crypt(5) has it, in shadow(5) and its like. */
static bool is_hash(struct span s)
{
	static const char *const ids[] = { ":$1$", ":$5$", ":$6$", ":$y$", ":$7$", ":$2a$", ":$2b$", ":$2y$", ":$apr1$" };

	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		if (starts(s, ids[i])) {
			size_t len = strlen(ids[i]), n = run_of(span_of(s.at + len, s.len - len), ALNUM "./$=,", 200);

			return n >= 20 && !is_placeholder(span_of(s.at + len, n));
		}
	return false;
}

/* Which assignments, a bit each, a file of that name may have. */
static uint32_t assignments_of(const char *name)
{
	uint32_t set = 0;

	for (int i = 0; name && i < ASSIGNMENTS; i++)
		if (fits(assignments[i].pattern, name))
			set |= 1u << i;
	return set;
}

static bool is_assigned(struct span s, const struct assignment *a)
{
	size_t len = strlen(a->key), n;
	struct span value;

	if (!starts(s, a->key))
		return false;
	value = span_of(s.at + len, s.len - len);
	n = run_of(value, " \t\"'", 8);
	value = span_of(value.at + n, value.len - n);
	for (n = 0; n < value.len && n < 128 && value.at[n] > ' ' && value.at[n] < 0x7f && !strchr("\"'", value.at[n]); n++)
		;
	/* "${PASSWORD}" and "<password>" are to be filled in. */
	return n >= a->min && !strchr("$<{%", value.at[0]) && !is_placeholder(span_of(value.at, n)) &&
		(strcmp(a->key, "https://") != 0 || memchr(value.at, '@', n));
}

/* What a file's name says of it. */
struct file_kind {
	uint32_t assignments;
	bool has_hashes;
	bool has_test_keys;	/* a shared library: keys in it are those of its self-tests */
};

static struct file_kind kind_of(const char *name)
{
	if (!name)
		return (struct file_kind){ 0 };
	return (struct file_kind){ assignments_of(name), fits("*shadow*", name) || fits("passwd*", name) || fits("*htpasswd*", name),
		fits("lib*.so*", name) };
}

/* A token does not begin inside a word; what stands behind ":" or a name does. */
static const char *what_is(struct span s, const struct file_kind *kind, bool is_inside_word)
{
	if (!is_inside_word && !kind->has_test_keys && starts(s, "-----BEGIN ") && is_armour(span_of(s.at + 11, s.len - 11)))
		return "private key";
	for (int i = 0; !is_inside_word && i < SHAPES; i++)
		if (s.at[0] == (uint8_t)shapes[i].prefix[0] && is_shape(s, &shapes[i]))
			return shapes[i].what;
	if (kind->has_hashes && s.at[0] == ':' && is_hash(s))
		return "password hash";
	for (int i = 0; i < ASSIGNMENTS; i++)
		if (kind->assignments & 1u << i && is_assigned(s, &assignments[i]))
			return assignments[i].what;
	return NULL;
}

/* Keys without an armour, known by name and first bytes: DER of PKCS#1, SEC 1 and PKCS#8 (version 0 or 1), PKCS#12 (version 3), Java's. */
static const char *binary_key(struct span s, const char *name)
{
	bool is_der = s.len > 40 && s.at[0] == 0x30 && s.at[1] == 0x82 && s.at[4] == 2 && s.at[5] == 1;

	if (is_der && s.at[6] <= 1 && (fits("*.key", name) || fits("*.der", name) || fits("*.p8", name)))
		return "private key";
	if (is_der && s.at[6] == 3 && (fits("*.p12", name) || fits("*.pfx", name)))
		return "private key";
	return s.len > 8 && memcmp(s.at, "\xfe\xed\xfe\xed", 4) == 0 && fits("*.jks", name) ? "private key" : NULL;
}

/* A bit for each two bytes that a secret may begin with: nearly all text is passed by with one look. */
static const uint8_t *beginnings(void)
{
	static uint8_t pairs[65536 / 8];
	const char *begin[SHAPES + ASSIGNMENTS + 2] = { "--", ":$" };

	if (pairs['-' << 5 | '-' >> 3])
		return pairs;
	for (int i = 0; i < SHAPES; i++)
		begin[2 + i] = shapes[i].prefix;
	for (int i = 0; i < ASSIGNMENTS; i++)
		begin[2 + SHAPES + i] = assignments[i].key;
	for (int i = 0; i < SHAPES + ASSIGNMENTS + 2; i++)
		pairs[begin[i][0] << 5 | begin[i][1] >> 3] |= (uint8_t)(1 << begin[i][1] % 8);
	return pairs;
}

struct secret secrets_in(struct span text, const char *name, bool before, bool more)
{
	size_t end = more ? text.len - (text.len < SECRETS_OVERLAP ? text.len : SECRETS_OVERLAP) : text.len;
	const uint8_t *pairs = beginnings();
	struct file_kind kind = kind_of(name);
	const char *what;

	if (!before && name && (what = binary_key(text, name)))
		return (struct secret){ what, 0 };
	for (size_t i = before; i + 1 < text.len && i < end; i++) {
		if (!(pairs[text.at[i] << 5 | text.at[i + 1] >> 3] & 1 << text.at[i + 1] % 8))
			continue;
		what = what_is(span_of(text.at + i, text.len - i), &kind, i && is_word(text.at[i - 1]));
		if (what)
			return (struct secret){ what, i };
	}
	return (struct secret){ NULL, 0 };
}

int secrets_in_file(int fd, const char *name, struct secret *out)
{
	static uint8_t block[READ_SIZE];
	size_t have = 0, done = 0;
	ssize_t n;

	*out = (struct secret){ NULL, 0 };
	do {
		struct secret s;

		do {
			n = read(fd, block + have, sizeof(block) - have);
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			return -errno;
		have += (size_t)n;
		if (n && have < sizeof(block))
			continue;
		s = secrets_in(span_of(block, have), name, done > 0, n > 0);
		if (s.what) {
			*out = (struct secret){ s.what, done + s.at };
			return 0;
		}
		if (n) {
			/* One byte more: does a word go on? */
			memmove(block, block + have - SECRETS_OVERLAP - 1, SECRETS_OVERLAP + 1);
			done += have - SECRETS_OVERLAP - 1;
			have = SECRETS_OVERLAP + 1;
		}
	} while (n);
	return 0;
}
