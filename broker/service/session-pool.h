#pragma once

/*
 * Makes sessions, one ahead: all that a session does before it is behind its filter needs no
 * client, and takes most of its time. So one waits there, with its gate, for the next client.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct service;
struct session_message;

struct spare {
    pid_t pid;         /* 0: it has been asked for, and has not begun */
    int control;       /* -1: there is none */
    bool has_reported; /* what its gate is */
    pid_t gate;        /* 0: it has none */
    unsigned policy;   /* which one it has: service->policy_generation */
    int64_t made_at;   /* milliseconds of CLOCK_MONOTONIC */
};

/* So long it may take until it begins, and then, if it looks up names, until it reports. */
enum { SPARE_BEGINS_MS = 2000, SPARE_REPORTS_MS = 60000 };

#define SPARE_NULL                                                                                 \
    { .control = -1 }

void spawn_ahead(struct service *service);
int spawn_take(struct service *service, int connection, bool is_late, struct spare *session);
void spawn_hear(struct service *service);
ssize_t spawn_receive(int control, struct session_message *message);
void spawn_look(struct service *service);
void spawn_expire(struct service *service);
void spawn_drop(struct service *service);
