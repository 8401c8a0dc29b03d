#pragma once

/*
 * Reads and sets which signals are blocked or ignored, for all signals of the kernel. Each C
 * library reserves some (glibc 32 and 33, musl 34 as well), and its sigfillset(3) and
 * sigprocmask(2) leave them out. But a caller who sends one of them to utsrun means the command.
 */

#include <signal.h>
#include <stdint.h>

void signals_fill(sigset_t *set);
void signals_remove(sigset_t *set, int number);
int signals_set_mask(const sigset_t *set, sigset_t *before);
int signals_read_ignored(uint64_t *ignoredp);
