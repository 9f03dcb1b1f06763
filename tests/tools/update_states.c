/* SPDX-License-Identifier: MIT */
/* Prints the table of init/update.c as docs/updates.md has it. */
#include <stdio.h>

#include "../unit/update_names.h"

int main(void)
{
	printf("| state | event | next | action |\n|---|---|---|---|\n");
	for (int s = 0; s < UPDATE_STATES; s++)
		for (int e = 0; e < UPDATE_EVENTS; e++) {
			struct update_step step = update_step(s, e);

			if (update_takes(s, e))
				printf("| %s | %s | %s | %s |\n", update_state_name(s), event_name[e], update_state_name(step.next),
					action_name[step.action]);
		}
	return 0;
}
