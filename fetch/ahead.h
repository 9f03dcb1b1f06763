/* SPDX-License-Identifier: MIT */
/* Bytes of the net jail's one socket, read ahead: mbedTLS asks for five bytes of a TLS record and then for the rest, a system call each. Linked in front
 * of recv(2) and poll(2) by fetch_main.c, for that socket alone. Never waits by itself. */
#ifndef CORACLE_AHEAD_H
#define CORACLE_AHEAD_H

#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>

/* From here on FD, a stream socket, is read ahead. */
void ahead_begin(int fd);

/* recv(2): what is there already, else what the socket has. */
ssize_t ahead_recv(int fd, void *to, size_t len, int flags);

/* Are there bytes that poll(2) does not know of? */
bool ahead_has(void);

/* Around poll(2). The first: the entry that has input at once, so that nothing is waited for; NULL: none. The second says so in it; R is what
 * poll(2) returned, and what it would have returned is. */
struct pollfd *ahead_find(struct pollfd *p, nfds_t len);
int ahead_say(struct pollfd *found, int r);

#endif
