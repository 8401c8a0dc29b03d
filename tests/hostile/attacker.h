#pragma once

/*
 * Somebody else who runs as the same user: tries by every way that the kernel has to look into,
 * write to or take from a process of the broker's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tests/integration/harness.h"

struct attacker {
    pid_t pid;
    int channel;
    unsigned n_tried;
};

void attacker_start(struct attacker *attacker, const struct user *user);
void attacker_end(struct attacker *attacker);
void attacker_assert_is_able(struct attacker *attacker, const struct user *user);
void attacker_signal(struct attacker *attacker, pid_t pid, int signal_number);
void attacker_assert_fails(struct attacker *attacker, pid_t pid, const char *what);
