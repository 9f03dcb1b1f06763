/* SPDX-License-Identifier: MIT */
/* containers-certs.d(5): which authorities a host is checked against, and the certificate we show it. */
#ifndef CORACLE_CERTS_H
#define CORACLE_CERTS_H

#include <stddef.h>

#include "err.h"

/* PEM texts one behind the other: authorities, client certificate, its key; ended by a NUL. */
struct certs {
	char *pem;
	size_t roots_len, cert_len, key_len;
};

/* From HOST:PORT/ (HOST/ for port 443) of OWN, else of FIRST (each may be NULL), else of DIR: every .crt, and one NAME.cert with NAME.key. The system's bundle where there is no .crt.
 * -EKEYREJECTED where nothing can be trusted or half of a pair is missing. The caller calls certs_free. */
int certs_read(const char *own, const char *first, const char *dir, const char *server, const char *port, struct certs *out, struct err *e);
/* Wipes and frees. Takes a zeroed one. */
void certs_free(struct certs *c);

#endif
