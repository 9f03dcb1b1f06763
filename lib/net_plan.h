/* SPDX-License-Identifier: MIT */
/*
 * What coracle-bundle and coracle-net have between them: the plan, a text that `coracle-bundle units` makes of the .network files and the network
 * keys of the .container files, and coracle-net reads. Lines of words, one blank between; the first is "coracle-net-plan 1 CRC32" over what follows.
 *
 *   network NAME [bridge=LINK] [mtu=N] [internal] [subnet=A/N] [gateway=A] [range=LO-HI] [subnet6=A/N|auto] [gateway6=A]
 *     dns ADDR
 *   unit NAME
 *     join NETWORK [ip=A] [ip6=A]        in order: eth0, eth1, ...
 *     alias NAME                         further names of the unit
 *     publish ADDR|- LO HI TO tcp|udp    ports LO to HI of the board are TO and on of the unit
 *     dns ADDR|none | search WORD | option WORD | host NAME ADDR | sysctl PATH VALUE
 *
 * A line that begins with a blank belongs to the network or unit above it.
 */
#ifndef CORACLE_NET_PLAN_H
#define CORACLE_NET_PLAN_H

#define NET_RUN "/run/coracle/net"
#define NET_PLAN NET_RUN "/plan"
#define NET_PLAN_FIRST "coracle-net-plan 1 "
/* Beneath NET_RUN: ns/UNIT the network namespace, files/UNIT/{hosts,resolv.conf}, up/UNIT what the unit was given, old what the board had before. */

enum { NET_NAME_MAX = 64, NET_NETWORKS_MAX = 32, NET_JOINS_MAX = 4, NET_PUBLISH_MAX = 32, NET_ALIASES_MAX = 8, NET_DNS_MAX = 3,
	NET_HOSTS_MAX = 32, NET_WORDS_MAX = 8, NET_SYSCTLS_MAX = 16, NET_UNITS_MAX = 256 };

#endif
