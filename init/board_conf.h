/* SPDX-License-Identifier: MIT */
/* /etc/coracle/board.conf: key=value lines, `#` comments (docs/seams.md). Read once by PID 1 before the named line; part of the
 * read-only initramfs, so trusted, but a mistake in it is a line in the log and never stops the boot. */
#ifndef CORACLE_BOARD_CONF_H
#define CORACLE_BOARD_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BOARD_CONF_CONSOLES = 4, BOARD_CONF_DNS = 3, BOARD_CONF_ERRORS = 4, BOARD_CONF_FILE_MAX = 8192,
};

enum board_net { BOARD_NET_NONE, BOARD_NET_DHCP, BOARD_NET_STATIC };

struct board_conf {
	char hostname[64];
	char data_label[37];		/* a GPT name has 36 characters */
	char data_dir[128];		/* "": the partition, at /data */
	char units[128];
	bool is_data_grown;		/* the data partition takes the rest of its disk */
	bool is_verified;		/* the store, in the background of each boot */
	enum board_net net;
	char net_iface[16];		/* "" with dhcp: every interface */
	uint8_t net_addr[4], net_gateway[4];
	unsigned net_prefix;
	bool has_gateway;
	uint8_t dns[BOARD_CONF_DNS][4];
	unsigned dns_len;
	bool is_host;
	bool is_exec;			/* `coracle exec` is allowed */
	char lock[128];			/* of the console, lock.h; "": none */
	unsigned watchdog_s;		/* 0: none */
	unsigned read_group;		/* the gid that may read by the control socket, logs too, and nobody else but root; 0: none */
	unsigned metrics_port;		/* of 127.0.0.1; 0: none */
	bool is_console_set;		/* console= was given, so an empty list means none */
	char console[BOARD_CONF_CONSOLES][48];	/* "-": the descriptors that PID 1 was started with */
	bool is_plain[BOARD_CONF_CONSOLES];	/* nothing is drawn over what stands there */
	unsigned console_len;
	char error[BOARD_CONF_ERRORS][128];	/* "board.conf:3: ..." */
	unsigned errors;		/* may be more than are kept */
};

/* Fills C with defaults and what TEXT (ended by NUL) says. */
void board_conf_parse(struct board_conf *c, const char *text);

/* Over what C says already: settings of the one device (config/board.conf), which may be hostname, network and dns alone. */
void board_conf_own(struct board_conf *c, const char *text);

/* As board_conf_parse for the file at PATH; an absent file is an error line and the defaults. */
void board_conf_read(struct board_conf *c, const char *path);

/* "10.0.2.15" -> 4 bytes. */
bool board_conf_ipv4(const char *s, uint8_t out[4]);

#endif
