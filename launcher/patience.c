#include "launcher/patience.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "utsbroker/channel.h"

enum {
    PAUSE_MAX_MS = 512,
    PATIENCE_MS = 300000, /* ten thousand launches at once take the service minutes, */
    STUCK_MS = 20000,     /* but descriptors move all the time */
};

/* True if this process can send a descriptor now. Asks the kernel, not the service. */
static bool can_send_descriptor(void) {
    int ends[2];
    bool can_send;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return true; /* the attempt will say what is wrong */
    can_send = channel_send(ends[0], "x", 1, ends, 1) != -ETOOMANYREFS;
    (void)close(ends[0]);
    (void)close(ends[1]);
    return can_send;
}

/* True if no further attempt is to be made. */
bool patience_is_over(const struct patience *patience) {
    return patience->waited_ms >= PATIENCE_MS || patience->stuck_ms >= STUCK_MS;
}

/* Waits for a moment, each time for longer. */
void patience_pause(struct patience *patience) {
    int pause_ms = patience->pause_ms + getpid() % patience->pause_ms;

    (void)poll(NULL, 0, pause_ms);
    patience->waited_ms += pause_ms;
    patience->stuck_ms = can_send_descriptor() ? 0 : patience->stuck_ms + pause_ms;
    if (patience->pause_ms < PAUSE_MAX_MS)
        patience->pause_ms *= 2;
}
