/* SPDX-License-Identifier: MIT */
/* `coracle-fetch inspect`: what is there, who signed it, what would be taken, and why or why not; changes nothing. */
#ifndef CORACLE_INSPECT_H
#define CORACLE_INSPECT_H

/* The command; argv[0] is "inspect". Exit status 0 a pull would let it in, 1 it would not, 2 usage. */
int inspect_main(int argc, char **argv);

#endif
