/* SPDX-License-Identifier: MIT */
/*
 * The console helper. Whoever types here stands at the board and is root.
 * The terminal is in raw mode; a command is a forked child, so that Ctrl-C
 * ends the command, not the console. PID 1 starts the helper again when it
 * ends. Never allocates.
 */
#include "console.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "client.h"
#include "text.h"

#define PROMPT "coracle> "

enum { CTRL_A = 1, CTRL_C = 3, CTRL_D = 4, CTRL_E = 5, CTRL_H = 8, CTRL_K = 11, CTRL_L = 12, CTRL_U = 21, CTRL_W = 23,
	ESCAPE = 27, DEL = 127, READY_WAIT_MS = 5000, GOING_DOWN_S = 60 };

static void erase(struct console_line *l, size_t from, size_t to)
{
	memmove(l->text + from, l->text + to, l->len - to);
	l->len -= to - from;
	l->cursor = from;
}

static size_t word_start(const struct console_line *l)
{
	size_t at = l->cursor;

	while (at && l->text[at - 1] == ' ')
		at--;
	while (at && l->text[at - 1] != ' ')
		at--;
	return at;
}

/* ESC [ C and D move; everything else of the kind is swallowed up to its final byte. */
static void escape_key(struct console_line *l, unsigned char c)
{
	if (l->escape == 1) {
		l->escape = c == '[' || c == 'O' ? 2 : 0;
		return;
	}
	if (c < 0x40)
		return;
	l->escape = 0;
	if (c == 'C' && l->cursor < l->len)
		l->cursor++;
	else if (c == 'D' && l->cursor)
		l->cursor--;
	else if (c == 'H')
		l->cursor = 0;
	else if (c == 'F')
		l->cursor = l->len;
}

static enum console_key insert(struct console_line *l, unsigned char c)
{
	if (c < ' ' || c > '~' || l->len >= sizeof(l->text) - 1)
		return CONSOLE_BELL;
	memmove(l->text + l->cursor + 1, l->text + l->cursor, l->len - l->cursor);
	l->text[l->cursor++] = (char)c;
	l->len++;
	return CONSOLE_MORE;
}

enum console_key console_key(struct console_line *l, unsigned char c)
{
	bool was_cr = l->was_cr;

	l->was_cr = c == '\r';
	if (l->escape) {
		escape_key(l, c);
		return CONSOLE_MORE;
	}
	switch (c) {
	case '\n':
	case '\r':
		if (c == '\n' && was_cr)
			return CONSOLE_MORE;
		l->text[l->len] = '\0';
		return CONSOLE_ENTER;
	case CTRL_C:
		return CONSOLE_ABORT;
	case CTRL_D:
		if (!l->len)
			return CONSOLE_END;
		if (l->cursor < l->len)
			erase(l, l->cursor, l->cursor + 1);
		return CONSOLE_MORE;
	case CTRL_H:
	case DEL:
		if (l->cursor)
			erase(l, l->cursor - 1, l->cursor);
		return CONSOLE_MORE;
	case CTRL_U:
		erase(l, 0, l->cursor);
		return CONSOLE_MORE;
	case CTRL_W:
		erase(l, word_start(l), l->cursor);
		return CONSOLE_MORE;
	case CTRL_K:
		l->len = l->cursor;
		return CONSOLE_MORE;
	case CTRL_A:
		l->cursor = 0;
		return CONSOLE_MORE;
	case CTRL_E:
		l->cursor = l->len;
		return CONSOLE_MORE;
	case CTRL_L:
		return CONSOLE_MORE;
	case ESCAPE:
		l->escape = 1;
		return CONSOLE_MORE;
	default:
		return insert(l, c);
	}
}

int console_split(char *line, char *word[CONSOLE_WORDS_MAX])
{
	char *save = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
		if (n == CONSOLE_WORDS_MAX - 1)
			return -1;
		word[n++] = w;
	}
	word[n] = NULL;
	return n;
}

static void put(const char *s, size_t len)
{
	while (len) {
		ssize_t n = write(1, s, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = 1, .events = POLLOUT };

			poll(&p, 1, 1000);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		s += n;
		len -= (size_t)n;
	}
}

static void put_text(const char *s)
{
	put(s, strlen(s));
}

/* A byte appended at the end is echoed alone; any other change draws the line again. */
static void redraw(const struct console_line *l, size_t old_len, size_t old_cursor)
{
	char back[16];

	if (l->len == old_len + 1 && l->cursor == l->len && old_cursor == old_len) {
		put(l->text + l->len - 1, 1);
		return;
	}
	if (l->len == old_len && l->cursor == old_cursor)
		return;
	put_text("\r" PROMPT);
	put(l->text, l->len);
	put_text("\033[K");
	if (l->cursor < l->len) {
		snprintf(back, sizeof(back), "\033[%zuD", l->len - l->cursor);
		put_text(back);
	}
}

static volatile sig_atomic_t is_told_to_end;

static void on_term(int sig)
{
	(void)sig;
	is_told_to_end = 1;
}

/* Bytes not yet taken stay for the next line: whoever pastes several lines, or types while a command runs, loses none. */
static struct {
	unsigned char at[512];
	size_t len, pos;
	bool is_over;
} input;

/* Reads what there is; what finds no room is lost. */
static void fill_input(void)
{
	ssize_t n;

	if (input.pos) {
		memmove(input.at, input.at + input.pos, input.len - input.pos);
		input.len -= input.pos;
		input.pos = 0;
	}
	if (input.len == sizeof(input.at))
		input.len--;
	n = read(0, input.at + input.len, sizeof(input.at) - input.len);
	if (n > 0)
		input.len += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		input.is_over = true;
}

static int next_byte(void)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };

	while (input.pos == input.len) {
		if (input.is_over || is_told_to_end)
			return -1;
		if (poll(&p, 1, -1) > 0)
			fill_input();
	}
	return input.at[input.pos++];
}

static enum console_key read_line(struct console_line *l)
{
	bool was_cr = l->was_cr;

	*l = (struct console_line){ .was_cr = was_cr };
	put_text(PROMPT);
	for (;;) {
		size_t old_len = l->len, old_cursor = l->cursor;
		int c = next_byte();
		enum console_key k;

		if (c < 0)
			return CONSOLE_END;
		k = console_key(l, (unsigned char)c);
		if (k == CONSOLE_BELL)
			put_text("\a");
		else if (k == CONSOLE_MORE)
			redraw(l, old_len, old_cursor);
		else
			return k;
	}
}

static void raw_mode(const struct termios *was)
{
	struct termios t = *was;

	t.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG | IEXTEN);
	t.c_iflag &= ~(tcflag_t)(IXON | ICRNL | INLCR | IGNCR);
	t.c_oflag |= OPOST | ONLCR;
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	tcsetattr(0, TCSADRAIN, &t);
}

/* The terminal stays raw while a command runs, so that Ctrl-C is ours to pass on, whoever the terminal belongs to. */
static int watch(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;
	struct pollfd p[2] = { { .fd = pidfd, .events = POLLIN }, { .fd = 0, .events = POLLIN } };

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (is_told_to_end)
			kill(pid, SIGTERM);
		p[1].fd = input.is_over ? -1 : 0;
		if (poll(p, 2, pidfd < 0 ? 50 : -1) <= 0 || !p[1].revents)
			continue;
		fill_input();
		if (input.len && memchr(input.at, CTRL_C, input.len)) {
			input.len = input.pos = 0;
			kill(-pid, SIGINT);
			kill(pid, SIGINT);
		}
	}
	if (pidfd >= 0)
		close(pidfd);
	if (WIFSIGNALED(status))
		put_text("^C\n");
	return status;
}

/* The wait status of the command, -1 where it did not start. */
static int run(int argc, char **argv)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		fprintf(stderr, "coracle: %s\n", strerror(errno));
		return -1;
	}
	if (pid == 0) {
		setpgid(0, 0);
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		_exit(client_main(argc, argv));
	}
	setpgid(pid, pid);
	return watch(pid);
}

static void run_line(char *line, const char *socket)
{
	char *word[CONSOLE_WORDS_MAX + 3] = { "coracle", "--socket", (char *)socket };
	int n = console_split(line, word + 3);

	if (n < 0)
		fprintf(stderr, "coracle: too many words\n");
	else if (n && !strcmp(word[3], "console"))
		fprintf(stderr, "coracle: this is the console\n");
	else if (n && run(n + 3, word) == 0 && (!strcmp(word[3], "poweroff") || !strcmp(word[3], "reboot")))
		/* PID 1 has the word now; another prompt would only stand between its lines. */
		for (int waited = 0; waited < GOING_DOWN_S && !is_told_to_end; waited++)
			sleep(1);
}

/* The one line at the start, once PID 1 knows what to say: its own words are the newest "PID 1 ready" in status. */
static void greet(const char *socket, bool *is_host)
{
	const struct client_args a = { .socket = socket };
	const struct status *s = NULL;

	for (int waited = 0; waited < READY_WAIT_MS; waited += 100) {
		s = client_status(&a);
		if (!s || s->ready[0])
			break;
		usleep(100000);
	}
	*is_host = s && s->is_host;
	if (s && s->ready[0])
		printf("\ncoracle: %s\n'help' lists the commands%s\n", s->ready,
			s->is_host ? ", poweroff or Ctrl-D leaves" : "");
	fflush(stdout);
}

int console_main(const char *socket)
{
	struct sigaction term = { .sa_handler = on_term };	/* no SA_RESTART: poll returns */
	struct console_line line = { .len = 0 };
	bool is_terminal = isatty(0), is_host = false;
	char poweroff[] = "poweroff";
	struct termios was;

	prctl(PR_SET_NAME, "console");
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	sigaction(SIGTERM, &term, NULL);
	if (is_terminal && tcgetattr(0, &was) < 0)
		return 1;
	if (is_terminal) {
		/* One that was killed here before may have left it raw. */
		was.c_lflag |= ECHO | ICANON | ISIG | IEXTEN;
		was.c_iflag |= ICRNL;
		was.c_oflag |= OPOST | ONLCR;
		raw_mode(&was);
	}
	greet(socket, &is_host);
	while (!is_told_to_end) {
		enum console_key k = read_line(&line);

		put_text("\n");
		if (k == CONSOLE_END && input.is_over)
			break;
		if (k == CONSOLE_END && is_host)
			run_line(poweroff, socket);
		if (k == CONSOLE_ENTER)
			run_line(line.text, socket);
	}
	if (is_terminal)
		tcsetattr(0, TCSADRAIN, &was);
	return is_terminal && !is_told_to_end;
}
