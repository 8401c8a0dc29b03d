#pragma once

/*
 * Confinements with too little of a resource, only for the processes in them: a user namespace with
 * few UTS namespaces, a cgroup with few processes or little memory.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "tests/integration/harness.h"

/* All zero: no confinement. */
struct confine {
    pid_t keeper;     /* the process that keeps the user namespace alive; 0: none */
    char cgroup[128]; /* its folder; "": none */
    char limit[160];  /* the file that sets the limit */
};

void confine_to_namespace(struct confine *confine);
bool confine_to_cgroup(struct confine *confine, const char *controller);
bool confine_allow(const struct confine *confine, unsigned long amount);
void confine_enter(void *confine);
void confine_become(void *confine);
void confine_end(struct confine *confine);
