/* SPDX-License-Identifier: MIT */
/* Copies between two terminals, blocking on neither. What comes out of the container is shown, never looked at. */
#include "run_tty.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void run_tty_resize(const struct run_tty *t)
{
	struct winsize size;

	if (t->master >= 0 && ioctl(0, TIOCGWINSZ, &size) == 0)
		ioctl(t->master, TIOCSWINSZ, &size);
}

void run_tty_take(struct run_tty *t)
{
	struct termios raw = t->before;

	if (!t->has_before)
		return;
	run_tty_resize(t);
	cfmakeraw(&raw);
	tcsetattr(0, TCSANOW, &raw);
}

void run_tty_yield(const struct run_tty *t)
{
	if (t->has_before)
		tcsetattr(0, TCSANOW, &t->before);
}

void run_tty_begin(struct run_tty *t, int master)
{
	t->master = master;
	fcntl(master, F_SETFL, fcntl(master, F_GETFL) | O_NONBLOCK);
	if (tcgetattr(0, &t->before) < 0)
		return;
	t->has_before = true;
	run_tty_take(t);
}

void run_tty_wait(const struct run_tty *t, struct pollfd p[RUN_TTY_POLLS])
{
	bool has_room = t->from_len == 0;

	p[0] = (struct pollfd){ .fd = t->master < 0 || t->is_input_over || t->to_len ? -1 : 0, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = t->master, .events = (short)((t->to_len ? POLLOUT : 0) | (has_room ? POLLIN : 0)) };
	p[2] = (struct pollfd){ .fd = has_room ? -1 : 1, .events = POLLOUT };
	if (t->master >= 0 && !has_room && !t->to_len)
		p[1].fd = -1;
}

/* Takes out of BUF what could be written. */
static void flush(int fd, char *buf, size_t *len)
{
	ssize_t n = write(fd, buf, *len);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		n = (ssize_t)*len;	/* nobody reads it any more */
	if (n <= 0)
		return;
	memmove(buf, buf + n, *len - (size_t)n);
	*len -= (size_t)n;
}

static void take_input(struct run_tty *t)
{
	ssize_t n = read(0, t->to, sizeof(t->to));

	if (n > 0)
		t->to_len = (size_t)n;
	if (n == 0) {
		t->is_input_over = true;
		t->to[0] = 4;	/* end of file, to a program that reads lines */
		t->to_len = 1;
	}
	t->is_input_over |= n < 0 && errno != EINTR && errno != EAGAIN;
}

/* false: there is nothing now. */
static bool take_output(struct run_tty *t)
{
	ssize_t n = t->master < 0 ? 0 : read(t->master, t->from, sizeof(t->from));

	if (n > 0) {
		t->from_len = (size_t)n;
		return true;
	}
	/* EIO: nobody has the other end open; the program's end follows. */
	if (t->master >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR))) {
		close(t->master);
		t->master = -1;
		t->to_len = 0;
	}
	return false;
}

void run_tty_move(struct run_tty *t, const struct pollfd p[RUN_TTY_POLLS])
{
	if (p[0].fd == 0 && p[0].revents)
		take_input(t);
	if (t->to_len)
		flush(t->master, t->to, &t->to_len);
	if (t->from_len == 0)
		take_output(t);
	else if (p[2].revents)
		flush(1, t->from, &t->from_len);
}

void run_tty_end(struct run_tty *t)
{
	do {
		while (t->from_len) {
			size_t before = t->from_len;

			flush(1, t->from, &t->from_len);
			if (t->from_len == before)
				break;
		}
	} while (t->from_len == 0 && take_output(t));
	if (t->has_before)
		tcsetattr(0, TCSADRAIN, &t->before);
	if (t->master >= 0)
		close(t->master);
	t->master = -1;
}
