#pragma once

/* How long utsrun tries again where the service could not take its request. */

#include <stdbool.h>

/* Pauses, which grow and differ between processes. Their sum is the time: a clock can be forbidden
 * (PR_SET_TSC, prctl(2)). */
struct patience {
    int pause_ms;
    int waited_ms; /* in all */
    int stuck_ms;  /* since a descriptor could be sent */
};

bool patience_is_over(const struct patience *patience);
void patience_pause(struct patience *patience);
