#pragma once

/*
 * The nursery: a process that the service forks while it has few descriptors, and that forks the
 * sessions on its behalf. The service has two descriptors for each command that lives; a session of
 * its own fork would have to close them all. Like the service it reads no stranger's byte; it holds
 * the policy as it was when it was made.
 */

#include <stdbool.h>
#include <sys/types.h>

struct service;

struct nursery {
    pid_t pid; /* 0: there is none */
    int channel;
    unsigned policy; /* which one it has: service->policy_generation */
};

#define NURSERY_NULL                                                                               \
    { .channel = -1 }

_Noreturn void nursery_be_session(const struct service *service, int control, bool is_ahead);
int nursery_ask(struct service *service, int control);
void nursery_drop(struct nursery *nursery);
void nursery_look(struct nursery *nursery);
