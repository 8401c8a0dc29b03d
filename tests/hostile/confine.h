#pragma once

/*
 * Places in which there is too little of something, for who is put there and for nobody else: a
 * user namespace with few UTS namespaces, a cgroup with few processes or little memory.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "tests/integration/harness.h"

/* All zero: nowhere but where it is. */
struct confine {
    pid_t keeper;     /* who keeps the user namespace; 0: there is none */
    char cgroup[128]; /* its folder; "": there is none */
    char limit[160];  /* the file that says how much there is */
};

void confine_to_namespace(struct confine *confine);
bool confine_to_cgroup(struct confine *confine, const char *controller);
bool confine_allow(const struct confine *confine, unsigned long amount);
void confine_enter(void *confine);
void confine_become(void *confine);
void confine_end(struct confine *confine);
