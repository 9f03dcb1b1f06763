/* SPDX-License-Identifier: MIT */
/* `coracle exec`: a command in a running container. */
#ifndef CORACLE_EXEC_H
#define CORACLE_EXEC_H

#include <stdbool.h>

/* Is that command line one of it? */
bool exec_is_asked(int argc, char **argv);

/* coracle [--socket PATH] exec NAME [--] COMMAND... Exit status: the command's, 128 + signal, 125 ours (the board does not allow it, nothing
 * runs), 126 not executable, 127 not found, 2 usage. */
int exec_main(char **argv);

#endif
