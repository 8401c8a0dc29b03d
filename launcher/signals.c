#include "launcher/signals.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The first bytes of every C library's sigset_t; 8 but for MIPS (rt_sigprocmask(2)). */
enum { KERNEL_SET_SIZE = _NSIG / 8 };

/* Puts every signal into @set. */
void signals_fill(sigset_t *set) {
    (void)sigemptyset(set);
    memset(set, 0xff, KERNEL_SET_SIZE);
}

/* Takes the signal @number, from 1 up, out of @set. */
void signals_remove(sigset_t *set, int number) {
    unsigned long *words = (unsigned long *)(void *)set;
    const unsigned bit = (unsigned)number - 1, width = 8 * sizeof(*words);

    words[bit / width] &= ~(1UL << (bit % width));
}

/*
 * Blocks the signals of @set and no others; those that were blocked come to *@before, unless it is
 * NULL. Only for a program without threads. Returns 0 or a negative errno.
 */
int signals_set_mask(const sigset_t *set, sigset_t *before) {
    if (before != NULL)
        (void)sigemptyset(before);
    return syscall(SYS_rt_sigprocmask, SIG_SETMASK, set, before, KERNEL_SET_SIZE) < 0 ? -errno : 0;
}
