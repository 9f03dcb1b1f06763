/* SPDX-License-Identifier: MIT */
/* libcurl on mbedTLS inside the net jail. Everything that arrives on the socket is hostile; what leaves is a framed message. */
#include "net.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "ahead.h"
#include "config.h"
#include "file.h"
#include "filter.h"
#include "gcm.h"
#include "span.h"

enum { PEM_MAX = 1 << 20 };

struct exchange {
	struct net_head head;
	size_t header_bytes;
	bool is_head_sent;
	bool is_limited;	/* what waits on the socket waits for us */
};

static bool is_socket_taken;

static int send_frame(uint32_t kind, const void *at, size_t len)
{
	struct net_frame f = { kind, (uint32_t)len };
	int r = file_write_all(1, &f, sizeof(f));

	return r < 0 ? r : file_write_all(1, at, len);
}

static void send_head(struct exchange *x)
{
	if (!x->is_head_sent)
		send_frame(NET_HEAD, &x->head, sizeof(x->head));
	x->is_head_sent = true;
}

/* The body's bytes that are not on their way yet. */
static struct {
	struct net_frame frame;
	uint8_t data[NET_DATA_MAX];
} pending;

static int flush(void)
{
	int r;

	if (pending.frame.len == 0)
		return 0;
	pending.frame.kind = NET_DATA;
	r = file_write_all(1, &pending, sizeof(pending.frame) + pending.frame.len);
	pending.frame.len = 0;
	return r;
}

/* A TLS record is 16 KiB: where the next one has come already they go on together. What nobody follows is never held back. */
static bool is_more_here(const struct exchange *x)
{
	char byte;

	return !x->is_limited && recv(NET_SOCKET_FD, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static size_t on_body(char *at, size_t one, size_t len, void *data)
{
	size_t done = 0;

	send_head(data);
	while (done < len) {
		size_t room = NET_DATA_MAX - pending.frame.len, n = len - done < room ? len - done : room;

		memcpy(pending.data + pending.frame.len, at + done, n);
		pending.frame.len += (uint32_t)n;
		done += n;
		if (pending.frame.len == NET_DATA_MAX && flush() < 0)
			return 0;
	}
	return !is_more_here(data) && flush() < 0 ? 0 : len * one;
}

static void take_header(const char *line, size_t len, const char *name, char *out, size_t size)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0)
		return;
	line += n;
	len -= n;
	while (len && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	while (len && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' '))
		len--;
	span_copy(span_of(line, len), out, size);
}

/* RFC 9110, 14.4: "bytes FIRST-LAST/TOTAL", TOTAL a number or "*". */
static void take_range(const char *text, struct net_head *h)
{
	long long first, total = -1;
	int end = 0;

	if (h->range_first != -1 || sscanf(text, "bytes %lld-%*[0-9]/%n", &first, &end) != 1 || end == 0 || first < 0 ||
	    (text[end] != '*' && (sscanf(text + end, "%lld", &total) != 1 || total < 0))) {
		h->range_first = -2;
		return;
	}
	h->range_first = first;
	h->range_total = total;
}

/* RFC 9110, 5.6.7, IMF-fixdate; senders must not use the two older forms. -1: not understood. */
static int64_t date_of(const char *text)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm t = { .tm_mday = 0 };
	char month[4] = "";
	const char *at;

	if (sscanf(text, "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &t.tm_mday, month, &t.tm_year, &t.tm_hour, &t.tm_min, &t.tm_sec) != 6)
		return -1;
	at = strstr(months, month);
	if (!at || (at - months) % 3)
		return -1;
	t.tm_mon = (int)(at - months) / 3;
	t.tm_year -= 1900;
	return timegm(&t);
}

static size_t on_header(char *at, size_t one, size_t len, void *data)
{
	struct exchange *x = data;
	char value[100] = "";

	x->header_bytes += len;
	if (x->header_bytes > CONFIG_HEADERS_MAX)
		return 0;
	if (len > 9 && memcmp(at, "HTTP/", 5) == 0) {	/* a new answer: 100-continue came before */
		x->head = (struct net_head){ .content_length = -1, .range_first = -1, .range_total = -1, .date_s = -1, .tls_minor = x->head.tls_minor };
		x->head.status = (uint32_t)atoi(memchr(at, ' ', len) ? (char *)memchr(at, ' ', len) + 1 : "0");
	}
	take_header(at, len, "content-type:", x->head.content_type, sizeof(x->head.content_type));
	take_header(at, len, "docker-content-digest:", x->head.digest, sizeof(x->head.digest));
	take_header(at, len, "location:", x->head.location, sizeof(x->head.location));
	if (!x->head.authenticate[0] || strncasecmp(x->head.authenticate, "bearer", 6) != 0)
		take_header(at, len, "www-authenticate:", x->head.authenticate, sizeof(x->head.authenticate));
	if (len > 5 && strncasecmp(at, "link:", 5) == 0 && memmem(at, len, "rel=\"next\"", 10))
		take_header(at, len, "link:", x->head.link, sizeof(x->head.link));
	if (len > 15 && strncasecmp(at, "content-length:", 15) == 0)
		x->head.content_length = strtoll(at + 15, NULL, 10);
	take_header(at, len, "content-range:", value, sizeof(value));
	if (value[0])
		take_range(value, &x->head);
	value[0] = '\0';
	take_header(at, len, "date:", value, sizeof(value));
	if (value[0])
		x->head.date_s = date_of(value);
	value[0] = '\0';
	take_header(at, len, "retry-after:", value, sizeof(value));
	if (value[0] >= '0' && value[0] <= '9')	/* a date says nothing to a board whose clock may be off */
		x->head.retry_after_s = (uint32_t)strtoul(value, NULL, 10);
	return len * one;
}

static curl_socket_t on_open(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
	if (is_socket_taken)
		return CURL_SOCKET_BAD;	/* one jail, one connection */
	is_socket_taken = true;
	return NET_SOCKET_FD;
}

static int on_sockopt(void *data, curl_socket_t fd, curlsocktype purpose)
{
	return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static uint32_t classify(CURLcode code, const char *text)
{
	if (code == CURLE_OK)
		return NET_OK;
	/* mbedTLS lists all that is wrong; a certificate that is wrong in its dates alone is a matter of the clock. */
	if (code == CURLE_PEER_FAILED_VERIFICATION && strstr(text, "validity") && !strstr(text, "signed by") && !strstr(text, "match"))
		return NET_NOT_NOW;
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
		return NET_CERTIFICATE;
	/* mbedTLS: MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, and what a 1.2-only server's hello means to a 1.3-only client */
	if (code == CURLE_SSL_CONNECT_ERROR && (strstr(text, "-0x7780") || strstr(text, "-0x6E80") ||
	    strstr(text, "lert") || strstr(text, "rotocol version")))
		return NET_TLS_ALERT;
	if (code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WRITE_ERROR)
		return NET_PROTOCOL;
	return NET_LINK;
}

static CURL *make_handle(const struct net_open *o, char *pem, struct curl_slist **resolve)
{
	struct curl_blob roots = { pem, o->roots_len, CURL_BLOB_NOCOPY };
	struct curl_blob cert = { pem + o->roots_len, o->cert_len, CURL_BLOB_NOCOPY };
	/* mbedTLS takes a key in PEM only with its NUL; the other two curl ends by itself. */
	struct curl_blob key = { pem + o->roots_len + o->cert_len, o->key_len + 1, CURL_BLOB_NOCOPY };
	char entry[300];
	CURL *c = curl_easy_init();
	long version = o->tls_minor == 3 ? CURL_SSLVERSION_TLSv1_3 | CURL_SSLVERSION_MAX_TLSv1_3 :
		CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2;

	if (!c)
		return NULL;
	/* The socket is connected already; the address only keeps curl from asking a resolver. */
	snprintf(entry, sizeof(entry), "*:%s:127.0.0.1", o->port);
	*resolve = curl_slist_append(NULL, entry);
	if (o->proxy[0]) {
		const char *port = strrchr(o->proxy, ':');

		snprintf(entry, sizeof(entry), "*:%.8s:127.0.0.1", port ? port + 1 : "");
		*resolve = curl_slist_append(*resolve, entry);
		curl_easy_setopt(c, CURLOPT_PROXY_CAINFO_BLOB, &roots);
	}
	curl_easy_setopt(c, CURLOPT_RESOLVE, *resolve);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, on_sockopt);
	curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &roots);
	if (o->cert_len) {
		curl_easy_setopt(c, CURLOPT_SSLCERT_BLOB, &cert);
		curl_easy_setopt(c, CURLOPT_SSLKEY_BLOB, &key);
	}
	curl_easy_setopt(c, CURLOPT_SSLVERSION, version);
	/* By itself mbedTLS offers ChaCha20 first; a server takes from that order what hardware we have. */
	if (gcm_is_fast())
		curl_easy_setopt(c, CURLOPT_TLS13_CIPHERS, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_PROXY, o->proxy);
	curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONFIG_FETCH_STALL_S);
	if (o->rate_max)
		curl_easy_setopt(c, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)o->rate_max);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "coracle/" CORACLE_VERSION);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)NET_DATA_MAX);
	return c;
}

static int exchange(CURL *c, const struct net_open *o, struct net_request *q)
{
	bool is_v6 = strchr(o->server, ':');
	char url[4000], accept[600], authorization[8300], range[40], text[CURL_ERROR_SIZE] = "";
	struct exchange x = { .head = { .content_length = -1, .range_first = -1, .range_total = -1, .tls_minor = o->tls_minor }, .is_limited = o->rate_max };
	struct net_end end = { NET_OK, "" };
	struct curl_slist *headers = NULL;
	long proxy_status = 0;
	CURLcode code;

	q->path[sizeof(q->path) - 1] = q->accept[sizeof(q->accept) - 1] = q->authorization[sizeof(q->authorization) - 1] = '\0';
	q->form[sizeof(q->form) - 1] = '\0';
	snprintf(url, sizeof(url), "https://%s%s%s:%s%s", is_v6 ? "[" : "", o->server, is_v6 ? "]" : "", o->port, q->path);
	snprintf(accept, sizeof(accept), "Accept: %s", q->accept);
	snprintf(authorization, sizeof(authorization), "Authorization: %s", q->authorization);
	snprintf(range, sizeof(range), "%llu-", (unsigned long long)q->offset);
	headers = curl_slist_append(headers, accept);
	if (q->authorization[0])
		headers = curl_slist_append(headers, authorization);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_RANGE, q->offset ? range : NULL);
	if (q->form[0])
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->form);
	else
		curl_easy_setopt(c, CURLOPT_HTTPGET, 1L);
	if (q->is_head)
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, &x);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &x);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, text);
	code = curl_easy_perform(c);
	send_head(&x);
	if (flush() < 0)
		return -EPIPE;
	curl_easy_getinfo(c, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
	end.failure = code != CURLE_OK && proxy_status >= 400 ? NET_PROXY : classify(code, text);
	for (char *at = text; (at = strchr(at, '\n'));)
		*at = at[1] ? ';' : '\0';
	if (code != CURLE_OK)
		snprintf(end.text, sizeof(end.text), "%.200s (curl %d)", text[0] ? text : curl_easy_strerror(code), (int)code);
	curl_slist_free_all(headers);
	explicit_bzero(authorization, sizeof(authorization));
	return send_frame(NET_END, &end, sizeof(end));
}

int net_main(void)
{
	static struct net_request q;
	static struct net_open o;
	struct curl_slist *resolve;
	uint32_t len;
	char *pem;
	CURL *c;

	if (file_read_full(0, &o, sizeof(o)) != sizeof(o) || o.magic != NET_MAGIC || o.roots_len > PEM_MAX || o.cert_len > PEM_MAX ||
	    o.key_len > PEM_MAX)
		return 1;
	o.server[sizeof(o.server) - 1] = o.port[sizeof(o.port) - 1] = o.proxy[sizeof(o.proxy) - 1] = '\0';
	len = o.roots_len + o.cert_len + o.key_len;
	pem = malloc(len + 1u);
	if (!pem || file_read_full(0, pem, len) != (ssize_t)len)
		return 1;
	pem[len] = '\0';
	curl_global_init(CURL_GLOBAL_DEFAULT);
	ahead_begin(NET_SOCKET_FD);
	c = make_handle(&o, pem, &resolve);
	while (c && file_read_full(0, &q, sizeof(q)) == sizeof(q) && q.magic == NET_MAGIC)
		if (exchange(c, &o, &q) < 0)
			break;
	return 0;
}

static const struct sock_filter filter[] = {
	FILTER_BEGIN, FILTER_START,
	/* Libraries look for configuration files and time zones; there are none, and none may be opened. */
	FILTER_REFUSE_OPEN,
	FILTER_ALLOW(sendto), FILTER_ALLOW(recvfrom), FILTER_ALLOW(sendmsg), FILTER_ALLOW(recvmsg), FILTER_ALLOW(shutdown),
	FILTER_POLL, FILTER_ALLOW(getsockopt), FILTER_ALLOW(setsockopt), FILTER_ALLOW(getsockname),
	FILTER_ALLOW(getpeername), FILTER_ALLOW(getrandom), FILTER_ALLOW(pipe2), FILTER_ALLOW(eventfd2), FILTER_ALLOW(getpid),
	FILTER_ALLOW(getuid_any), FILTER_ALLOW(geteuid_any), FILTER_ALLOW(gettimeofday_old), FILTER_ALLOW(prlimit64), FILTER_ALLOW(socketpair),
	FILTER_END,
};

void net_jail_spec(struct jail_spec *spec)
{
	*spec = (struct jail_spec){
		.name = "net", .uid = CONFIG_UID_NET, .memory_max = 64ull << 20, .fds_max = 64,
		.filter = filter, .filter_len = sizeof(filter) / sizeof(*filter),
	};
}
