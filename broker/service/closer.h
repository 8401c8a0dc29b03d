#pragma once

/*
 * Closes connections on which a stranger may have left descriptors. The last close(2) of a
 * connection also closes what is queued on it, and that can take for ever (SO_LINGER, a file system
 * that does not answer). So a holder, a process made for it, has the last copy and is killed.
 *
 * A holder that hangs cannot be helped, but their number is bounded: the first few take what there
 * is, and each further one takes twice as many connections as the one before. So a million
 * connections that hang cost some twenty processes. What waits for a holder costs a descriptor.
 */

#include <stdbool.h>
#include <stddef.h>

#include "broker/service/reaper.h"

struct closer {
    struct reaper *reaper;
    int *fds; /* of the connections that wait for a holder */
    size_t n, size;
    size_t n_max;     /* more do not wait */
    size_t n_holders; /* that live: killed, but not ended */
};

void closer_init(struct closer *closer, struct reaper *reaper);
void closer_flush(struct closer *closer);
void closer_deinit(struct closer *closer);
bool closer_has_unread(int connection);
void closer_close(struct closer *closer, int *connectionp);
