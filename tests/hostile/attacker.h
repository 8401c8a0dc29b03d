#pragma once

/*
 * An attacker, another process of the same user: it tries every means of the kernel to look into a
 * process of the broker, to write to it or to take something from it.
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
void attacker_assert_only_counts(struct attacker *attacker, pid_t pid, const char *what);
void attacker_assert_fails(struct attacker *attacker, pid_t pid, const char *what);
