#pragma once

/*
 * Makes sessions, one ahead: to fork and to begin costs as much as all that a session does for its
 * client, and can be done before there is one.
 */

#include <stdbool.h>
#include <sys/types.h>

struct service;

struct spare {
    pid_t pid; /* 0: there is none */
    int control;
    unsigned policy; /* which one it has: service->policy_generation */
};

#define SPARE_NULL                                                                                 \
    { .control = -1 }

int spawn_ahead(struct service *service);
int spawn_take(struct service *service, int connection, bool is_late, struct spare *session);
void spawn_look(struct service *service);
void spawn_drop(struct service *service);
