#pragma once

/* The socket that the service listens on, and the service manager that may have made it. */

#include <stdbool.h>
#include <sys/types.h>

struct listener {
    int fd;
    const char *path;          /* bound by this process, to be removed at the end; NULL: not */
    ino_t inode;               /* what was bound there */
    const char *notify_socket; /* of the service manager; NULL: none */
    bool is_managed;           /* the socket starts the service again when it is asked for */
};

#define LISTENER_NULL                                                                              \
    { .fd = -1 }

enum {
    LISTENER_E_NONE = 1, /* the service manager has passed no socket */
    LISTENER_E_WRONG,    /* it is not one, listening, of AF_UNIX and SOCK_SEQPACKET */
    LISTENER_E_IN_USE,   /* somebody listens there already */
};

int listener_take(struct listener *listener);
void listener_drop(struct listener *listener);
int listener_bind(struct listener *listener, const char *path);
void listener_tell_ready(const struct listener *listener);
void listener_deinit(struct listener *listener);
