/* SPDX-License-Identifier: MIT */
/*
 * vfprintf(3) and vsnprintf(3), and with them snprintf, printf and dprintf of this program, in place of the C library's: which brings 8 KB for floating
 * point, positions and wide characters that nothing here prints. Knows flags - and 0, width and precision (also *), hh h l ll z, and
 * d i u x o c s %. Anything else is shown as it stands, and no argument is taken for it: the compiler checks formats (-Werror=format), and
 * tests/unit/format_test.c that these are enough. Never allocates.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct spec {
	bool is_left, is_zero;
	int width, precision;	/* precision -1: none */
	int size;		/* 0 int, 1 long, 2 long long; z is long */
};

struct sink {
	FILE *f;		/* or NULL: */
	char *out;
	size_t size;
	size_t count;
};

static void put(struct sink *s, const char *at, size_t len)
{
	if (s->f && len)
		fwrite(at, 1, len, s->f);
	for (size_t i = 0; !s->f && i < len && s->count + i + 1 < s->size; i++)
		s->out[s->count + i] = at[i];
	s->count += len;
}

static void pad(struct sink *s, char c, int n)
{
	while (n-- > 0)
		put(s, &c, 1);
}

/* A field of LEN bytes, of which the first SIGN are a sign that zeros go behind. */
static void field(struct sink *s, const struct spec *q, const char *at, int len, int sign, int zeros)
{
	int blanks = q->width - len - zeros;

	if (q->is_zero && blanks > 0) {
		zeros += blanks;
		blanks = 0;
	}
	if (!q->is_left)
		pad(s, ' ', blanks);
	put(s, at, (size_t)sign);
	pad(s, '0', zeros);
	put(s, at + sign, (size_t)(len - sign));
	if (q->is_left)
		pad(s, ' ', blanks);
}

static void number(struct sink *s, struct spec *q, uint64_t n, unsigned base, bool is_negative)
{
	char text[24], *p = text + sizeof(text);
	int digits;

	while (n || p == text + sizeof(text)) {
		*--p = "0123456789abcdef"[n % base];
		n /= base;
	}
	digits = (int)(text + sizeof(text) - p);
	if (is_negative)
		*--p = '-';
	if (q->precision >= 0)
		q->is_zero = false;
	field(s, q, p, digits + is_negative, is_negative, q->precision > digits ? q->precision - digits : 0);
}

static int digits(const char **at)
{
	int n = 0;

	while (**at >= '0' && **at <= '9' && n < INT_MAX / 10 - 1)
		n = n * 10 + *(*at)++ - '0';
	return n;
}

static const char *parse(const char *at, struct spec *q, va_list *ap)
{
	for (; *at == '-' || *at == '0'; at++) {
		q->is_left |= *at == '-';
		q->is_zero |= *at == '0';
	}
	if (*at == '*') {
		q->width = va_arg(*ap, int);
		at++;
	} else {
		q->width = digits(&at);
	}
	if (q->width < 0) {
		q->is_left = true;
		q->width = -q->width;
	}
	q->precision = -1;
	if (*at == '.') {
		at++;
		q->precision = *at == '*' ? (at++, va_arg(*ap, int)) : digits(&at);
	}
	q->is_zero &= !q->is_left;
	for (; *at == 'h' || *at == 'l' || *at == 'z'; at++)
		q->size += *at == 'h' ? 0 : 1;
	return at;
}

static uint64_t argument(const struct spec *q, va_list *ap, bool is_signed)
{
	if (q->size > 1)
		return va_arg(*ap, unsigned long long);
	if (q->size)
		return is_signed ? (uint64_t)va_arg(*ap, long) : va_arg(*ap, unsigned long);
	return is_signed ? (uint64_t)va_arg(*ap, int) : va_arg(*ap, unsigned);
}

static void one(struct sink *s, struct spec *q, char kind, va_list *ap)
{
	const char *text;
	uint64_t n;
	char c;

	switch (kind) {
	case 'd':
	case 'i':
		n = argument(q, ap, true);
		number(s, q, (int64_t)n < 0 ? -n : n, 10, (int64_t)n < 0);
		break;
	case 'u':
	case 'x':
	case 'o':
		number(s, q, argument(q, ap, false), kind == 'x' ? 16 : kind == 'o' ? 8 : 10, false);
		break;
	case 'c':
		c = (char)va_arg(*ap, int);
		q->is_zero = false;
		field(s, q, &c, 1, 0, 0);
		break;
	case 's':
		text = va_arg(*ap, const char *);
		if (!text)
			text = "(null)";
		q->is_zero = false;
		field(s, q, text, (int)strnlen(text, q->precision < 0 ? INT_MAX : (size_t)q->precision), 0, 0);
		break;
	default:
		put(s, &kind, 1);
	}
}

static int format(struct sink *s, const char *fmt, va_list ap)
{
	va_list args;

	va_copy(args, ap);
	while (*fmt) {
		size_t len = strcspn(fmt, "%");
		struct spec q = { .is_left = false };

		put(s, fmt, len);
		fmt += len;
		if (!*fmt)
			break;
		fmt = parse(fmt + 1, &q, &args);
		if (!*fmt)
			break;
		one(s, &q, *fmt++, &args);
	}
	va_end(args);
	return s->count > INT_MAX ? INT_MAX : (int)s->count;
}

int vfprintf(FILE *restrict f, const char *restrict fmt, va_list ap)
{
	struct sink s = { .f = f };

	return format(&s, fmt, ap);
}

int vsnprintf(char *restrict out, size_t size, const char *restrict fmt, va_list ap)
{
	struct sink s = { .out = out, .size = size };
	int n = format(&s, fmt, ap);

	if (size)
		out[s.count < size ? s.count : size - 1] = '\0';
	return n;
}
