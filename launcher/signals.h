#pragma once

/*
 * The mask of blocked signals, and which are ignored, with all that the kernel has. Each C library
 * keeps some for itself (glibc 32 and 33, musl 34 as well) and leaves them out of what
 * sigfillset(3) and sigprocmask(2) do; a caller who sends one to utsrun means the command all the
 * same.
 */

#include <signal.h>
#include <stdint.h>

void signals_fill(sigset_t *set);
void signals_remove(sigset_t *set, int number);
int signals_set_mask(const sigset_t *set, sigset_t *before);
int signals_read_ignored(uint64_t *ignoredp);
