#pragma once

/* The socket that the service listens on: passed by the service manager, or bound by the service.
 */

#include <stdbool.h>
#include <sys/types.h>

struct listener {
    int fd;
    const char *path;          /* bound by this process, which removes it at the end; else NULL */
    ino_t inode;               /* the inode of the socket bound at @path */
    const char *notify_socket; /* where the service manager wants READY=1; NULL: nowhere */
    bool is_managed;           /* the service manager starts the service again on a connection */
};

#define LISTENER_NULL                                                                              \
    { .fd = -1 }

enum {
    LISTENER_E_NONE = 1, /* the service manager has passed no socket */
    LISTENER_E_WRONG,    /* not exactly one listening AF_UNIX SOCK_SEQPACKET socket */
    LISTENER_E_IN_USE,   /* another process listens there already */
};

int listener_take(struct listener *listener);
void listener_drop(struct listener *listener);
int listener_bind(struct listener *listener, const char *path);
void listener_tell_ready(const struct listener *listener);
void listener_deinit(struct listener *listener);
