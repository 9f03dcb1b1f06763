/* SPDX-License-Identifier: MIT */
/* Prints the table of docs/unit-states.md from init/unit.c: every cell that does something. */
#include <stdio.h>

#include "../unit/unit_names.h"

int main(void)
{
	printf("| state | event | next | what is done |\n|---|---|---|---|\n");
	for (int s = 0; s < UNIT_STATES; s++)
		for (int e = 0; e < UNIT_EVENTS; e++) {
			struct unit_step step = unit_step(s, e);

			if (step.next != s || step.action != UNIT_DO_NOTHING)
				printf("| %s | %s | %s | %s |\n", unit_state_name((unsigned)s), event_name[e],
					unit_state_name(step.next), action_name[step.action]);
		}
	return 0;
}
