#pragma once

/* Examines the process that connected to the service: would it escape from a confinement if the
 * service ran its command? */

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "broker/service/root-directory.h"
#include "broker/session/caller-context.h"
#include "policy/subject.h"

struct peer {
    pid_t pid;
    struct caller_difference difference;
    struct limits limits;
};

enum { PEER_NAMESPACES_MAX = 9 };

/*
 * Namespaces and root directory of the service, in which a caller must be; and what binds the
 * service, and so the gates.
 */
struct peer_reference {
    struct stat namespaces[PEER_NAMESPACES_MAX];
    bool has_namespace[PEER_NAMESPACES_MAX];
    struct root_directory root;
    struct limits limits;
    char *cgroup; /* /proc/self/cgroup; NULL: the kernel has none */
};

int peer_reference_init(struct peer_reference *ours);
void peer_reference_deinit(struct peer_reference *ours);
int peer_examine(struct peer *peer, int connection, const struct subject *subject,
                 const struct peer_reference *ours, bool has_proved);
