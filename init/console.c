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
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "board_conf.h"
#include "client.h"
#include "config.h"
#include "lock.h"
#include "text.h"

#define PROMPT "coracle> "

enum { CTRL_C = 3, OFFERED = -2, OFFERS_LOOK_MS = 1000, READY_WAIT_MS = 5000, GOING_DOWN_S = 60, LEAVE_AFTER = 2, COLUMNS = 80 };

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

/* What a terminal says of its width is believed between 20 and 250. */
static size_t columns(void)
{
	struct winsize w = { .ws_col = 0 };

	if (ioctl(1, TIOCGWINSZ, &w) < 0 || w.ws_col < 20 || w.ws_col > 250)
		return COLUMNS;
	return w.ws_col;
}

/* Columns behind the prompt that hold something of ours. */
static size_t drawn;

static void put_times(char c, size_t count)
{
	while (count--)
		put(&c, 1);
}

/*
 * A byte appended at the end is echoed alone; any other change draws the line again: the part of it around the cursor that fits. With carriage
 * return, blanks and backspace, which every terminal has; escape sequences, not all, and noise makes other ones of them.
 */
static void redraw(const struct console_line *l, size_t old_len, size_t old_cursor, bool is_whole)
{
	size_t room = columns() - sizeof(PROMPT), from = l->cursor < room ? 0 : l->cursor - room + 1, len, end;

	if (!is_whole && l->len == old_len + 1 && l->cursor == l->len && old_cursor == old_len && l->len < room) {
		put(l->text + l->len - 1, 1);
		drawn = l->len;
		return;
	}
	if (!is_whole && l->len == old_len && l->cursor == old_cursor)
		return;
	len = l->len - from < room ? l->len - from : room;
	end = len < drawn ? drawn < room ? drawn : room : len;
	put_text("\r" PROMPT);
	put(l->text + from, len);
	put_times(' ', end - len);
	put_times('\b', from + end - l->cursor);
	drawn = len;
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

/* Is there another list of archives on sticks than the one shown last? */
static bool has_offers(void)
{
	static struct timespec shown;
	struct stat st = { .st_size = 0 };
	bool is_new;

	stat(CLIENT_OFFERS, &st);
	is_new = st.st_size && (st.st_mtim.tv_sec != shown.tv_sec || st.st_mtim.tv_nsec != shown.tv_nsec);
	shown = st.st_mtim;
	return is_new;
}

/* The next byte; OFFERED where sticks have something new to offer; -1 at the end. */
static int next_byte(void)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };

	while (input.pos == input.len) {
		if (input.is_over || is_told_to_end)
			return -1;
		if (poll(&p, 1, OFFERS_LOOK_MS) > 0)
			fill_input();
		else if (has_offers())
			return OFFERED;
	}
	return input.at[input.pos++];
}

/* Completes the word before the cursor, or shows what it could be. */
static void complete(struct console_line *l, const char *socket)
{
	char found[CONSOLE_LINE_MAX], list[1024];
	unsigned n = client_complete(socket, l->text, l->cursor, found, sizeof(found), list, sizeof(list));

	if (!console_insert(l, found, strlen(found)) || !n)
		put_text("\a");
	if (n > 1 && !found[0]) {
		put_text("\n");
		put_text(list);
		put_text("\n");
		drawn = 0;
	}
}

static enum console_key read_line(struct console_line *l, struct console_history *history, const char *socket)
{
	bool was_cr = l->was_cr;

	*l = (struct console_line){ .was_cr = was_cr, .history = history };
	put_text(PROMPT);
	drawn = 0;
	for (;;) {
		size_t old_len = l->len, old_cursor = l->cursor;
		int c = next_byte();
		enum console_key k;

		if (c == OFFERED) {
			put_text("\r");
			put_times(' ', sizeof(PROMPT) - 1 + drawn);
			put_text("\r");
			drawn = 0;
			client_show_offers();
			redraw(l, 0, 0, true);
			continue;
		}
		if (c < 0)
			return CONSOLE_END;
		k = console_key(l, (unsigned char)c);
		if (k == CONSOLE_BELL)
			put_text("\a");
		else if (k == CONSOLE_TAB)
			complete(l, socket);
		else if (k != CONSOLE_MORE)
			return k;
		redraw(l, old_len, old_cursor, k == CONSOLE_TAB);
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
	/* Not TCSADRAIN: what an XOFF in the line's noise holds back would be waited for, until there is an XON. */
	tcsetattr(0, TCSANOW, &t);
}

/* The terminal stays raw while a command runs, so that Ctrl-C is ours to pass on, whoever the terminal belongs to; it is all the command's
 * where that HAS_INPUT. */
static int watch(pid_t pid, bool has_input)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status = 0, interrupts = 0;
	struct pollfd p[2] = { { .fd = pidfd, .events = POLLIN }, { .fd = 0, .events = POLLIN } };

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (is_told_to_end)
			kill(pid, SIGTERM);
		p[1].fd = input.is_over || has_input ? -1 : 0;
		if (poll(p, 2, pidfd < 0 ? 50 : -1) <= 0 || !p[1].revents)
			continue;
		fill_input();
		if (input.len && memchr(input.at, CTRL_C, input.len)) {
			int sig = interrupts++ ? SIGKILL : SIGINT;

			input.len = input.pos = 0;
			kill(-pid, sig);
			kill(pid, sig);
		}
		if (interrupts > LEAVE_AFTER) {
			put_text("coracle: it waits in the kernel, as for a disk that does not answer, and is left behind\n");
			status = -1;
			break;
		}
	}
	if (pidfd >= 0)
		close(pidfd);
	if (status != -1 && WIFSIGNALED(status))
		put_text("^C\n");
	return status;
}

/* The wait status of the command, -1 where it did not start. */
static int run(int argc, char **argv)
{
	bool has_input = !strcmp(argv[3], "exec");
	pid_t pid;

	while (waitpid(-1, NULL, WNOHANG) > 0)
		;	/* what was left behind once and came back */
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		fprintf(stderr, "coracle: %s\n", strerror(errno));
		return -1;
	}
	if (pid == 0) {
		/* Else it would be in the background of the terminal that it reads. */
		if (!has_input)
			setpgid(0, 0);
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		_exit(client_main(argc, argv));
	}
	if (!has_input)
		setpgid(pid, pid);
	return watch(pid, has_input);
}

/* A line that is not shown; false where it was given up. */
static bool read_secret(char *out, size_t size)
{
	size_t len = 0;
	int c;

	while (((c = next_byte()) >= 0 || c == OFFERED) && c != CTRL_C && c != '\r' && c != '\n') {
		if ((c == 8 || c == 127) && len)
			len--;
		else if (c >= ' ' && len < size - 1)
			out[len++] = (char)c;
	}
	out[len] = '\0';
	put_text("\n");
	return c == '\r' || c == '\n';
}

/* Commands that change something wait for the board's passphrase, once in CONFIG_UNLOCKED_S. Wrong ones cost a growing delay. */
static bool is_allowed(const char *command, const char *hash)
{
	static uint64_t unlocked_ms;
	static unsigned fails;
	char secret[128];
	bool is_right;

	if (!hash[0] || !client_changes(command) || (unlocked_ms && text_now_ms() - unlocked_ms < CONFIG_UNLOCKED_S * 1000ULL))
		return true;
	put_text("passphrase: ");
	is_right = read_secret(secret, sizeof(secret)) && lock_opens(hash, secret);
	memset(secret, 0, sizeof(secret));
	if (is_right) {
		unlocked_ms = text_now_ms();
		fails = 0;
		return true;
	}
	fails += fails < 5;
	put_text("coracle: wrong passphrase\n");
	sleep(1u << (fails - 1));
	input.len = input.pos = 0;	/* nothing typed ahead gets a try of its own */
	return false;
}

static void run_line(char *line, const char *socket, const char *hash)
{
	char *word[CONSOLE_WORDS_MAX + 3] = { "coracle", "--socket", (char *)socket };
	int n = console_split(line, word + 3);

	if (n < 0)
		fprintf(stderr, "coracle: too many words\n");
	else if (n && !strcmp(word[3], "console"))
		fprintf(stderr, "coracle: this is the console\n");
	else if (n && !is_allowed(word[3], hash))
		return;
	else if (n && run(n + 3, word) == 0 && (!strcmp(word[3], "poweroff") || !strcmp(word[3], "reboot") || !strcmp(word[3], "reset")))
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

int console_main(const char *socket, const char *etc)
{
	static struct console_history history;
	static struct board_conf conf;
	char path[192];
	struct sigaction term = { .sa_handler = on_term };	/* no SA_RESTART: poll returns */
	struct console_line line = { .len = 0 };
	bool is_terminal = isatty(0), is_host = false;
	char poweroff[] = "poweroff";
	struct termios was;

	prctl(PR_SET_NAME, "console");
	if (etc) {
		snprintf(path, sizeof(path), "%s/board.conf", etc);
		board_conf_read(&conf, path);
	}
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
	if (!is_host)
		was.c_iflag &= ~(tcflag_t)IXON;	/* what PID 1 says on its way down is not held back either */
	while (!is_told_to_end) {
		enum console_key k = read_line(&line, &history, socket);

		put_text("\n");
		if (k == CONSOLE_END && input.is_over)
			break;
		if (k == CONSOLE_END && is_host)
			run_line(poweroff, socket, "");
		if (k == CONSOLE_ENTER) {
			console_remember(&history, line.text);
			run_line(line.text, socket, conf.lock);
		}
	}
	if (is_terminal)
		tcsetattr(0, TCSADRAIN, &was);
	return is_terminal && !is_told_to_end;
}
