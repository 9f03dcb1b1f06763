/* SPDX-License-Identifier: MIT */
/* fetch/ahead.c: no byte is lost, doubled or waited for, whatever the sizes of the questions; other sockets are left alone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "ahead.h"

static int pair[2];

static int begin(void **state)
{
	ahead_begin(-1);
	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static int end(void **state)
{
	ahead_begin(-1);
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static void every_byte_once(void **state)
{
	static uint8_t sent[300000], got[sizeof(sent)];
	size_t to = 0, from = 0;

	srand(1);
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)rand();
	ahead_begin(pair[0]);
	while (from < sizeof(sent)) {
		size_t n = (size_t)rand() % 40000 + 1, want = (size_t)rand() % 20000 + 1;
		ssize_t r;

		n = n < sizeof(sent) - to ? n : sizeof(sent) - to;
		if (n && to - from < 100000) {
			assert_int_equal(write(pair[1], sent + to, n), n);
			to += n;
		}
		r = ahead_recv(pair[0], got + from, want < sizeof(got) - from ? want : sizeof(got) - from, MSG_DONTWAIT);
		assert_true(r > 0);
		from += (size_t)r;
	}
	assert_memory_equal(sent, got, sizeof(sent));
	assert_false(ahead_has());
	assert_int_equal(ahead_recv(pair[0], got, 1, MSG_DONTWAIT), -1);
	assert_true(errno == EAGAIN);
	shutdown(pair[1], SHUT_WR);
	assert_int_equal(ahead_recv(pair[0], got, 1, 0), 0);
}

static void a_look_takes_nothing(void **state)
{
	char got[4] = "";

	ahead_begin(pair[0]);
	assert_int_equal(write(pair[1], "abc", 3), 3);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ahead_recv(pair[0], got, 1, MSG_PEEK), 1);
		assert_int_equal(got[0], 'a');
	}
	assert_false(ahead_has());
	assert_int_equal(ahead_recv(pair[0], got, 1, 0), 1);
	assert_true(ahead_has());
	assert_int_equal(ahead_recv(pair[0], got, 3, MSG_PEEK), 2);
	assert_int_equal(ahead_recv(pair[0], got, 3, 0), 2);
	assert_memory_equal(got, "bc", 2);
}

/* As __wrap_poll of fetch_main.c has it. */
static int ask(struct pollfd *p, nfds_t len, int timeout_ms)
{
	struct pollfd *found = ahead_find(p, len);
	int r = poll(p, len, found ? 0 : timeout_ms);

	return found ? ahead_say(found, r) : r;
}

static void poll_knows_of_it(void **state)
{
	struct pollfd p[2] = { { .fd = pair[1], .events = POLLIN }, { .fd = pair[0], .events = POLLIN | POLLRDNORM } };
	char got;

	ahead_begin(pair[0]);
	assert_int_equal(write(pair[1], "ab", 2), 2);
	assert_int_equal(ahead_recv(pair[0], &got, 1, 0), 1);
	assert_int_equal(poll(p, 2, 0), 0);	/* the kernel has nothing more */
	assert_int_equal(ask(p, 2, -1), 1);
	assert_int_equal(p[0].revents, 0);
	assert_int_equal(p[1].revents, POLLIN | POLLRDNORM);
	p[1].events = POLLIN | POLLOUT;
	assert_int_equal(ask(p, 2, -1), 1);	/* an entry that is ready anyway counts once */
	assert_int_equal(p[1].revents, POLLIN | POLLOUT);
	p[1].events = POLLOUT;
	assert_int_equal(ask(p, 2, -1), 1);
	assert_int_equal(p[1].revents, POLLOUT);
	p[1].events = POLLIN;
	assert_int_equal(ahead_recv(pair[0], &got, 1, 0), 1);
	assert_int_equal(ask(p, 2, 0), 0);
}

static void others_are_left_alone(void **state)
{
	char got[2];

	ahead_begin(pair[0]);
	assert_int_equal(write(pair[0], "ab", 2), 2);
	assert_int_equal(ahead_recv(pair[1], got, 1, 0), 1);
	assert_false(ahead_has());
	assert_int_equal(recv(pair[1], got, 2, MSG_DONTWAIT), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_byte_once, begin, end), cmocka_unit_test_setup_teardown(a_look_takes_nothing, begin, end),
		cmocka_unit_test_setup_teardown(poll_knows_of_it, begin, end), cmocka_unit_test_setup_teardown(others_are_left_alone, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
