#include "launcher/signals.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's set begins each C library's sigset_t: 8 bytes, but not on MIPS. */
enum { KERNEL_SET_SIZE = _NSIG / 8 };

/* The handler's word in the kernel's struct sigaction, which differs from the C library's. */
#ifdef __mips__
enum { HANDLER_WORD = 1 };
#else
enum { HANDLER_WORD = 0 };
#endif

/* Fills @set with all signals. */
void signals_fill(sigset_t *set) {
    (void)sigemptyset(set);
    memset(set, 0xff, KERNEL_SET_SIZE);
}

/* Removes the signal @number (1 or more) from @set. */
void signals_remove(sigset_t *set, int number) {
    unsigned long *words = (unsigned long *)(void *)set;
    const unsigned bit = (unsigned)number - 1, width = 8 * sizeof(*words);

    words[bit / width] &= ~(1UL << (bit % width));
}

/*
 * Blocks the signals of @set and no others. Writes the former set to *@before, unless it is NULL.
 * Only for a program without threads. Returns 0 or a negative errno.
 */
int signals_set_mask(const sigset_t *set, sigset_t *before) {
    if (before != NULL)
        (void)sigemptyset(before);
    return syscall(SYS_rt_sigprocmask, SIG_SETMASK, set, before, KERNEL_SET_SIZE) < 0 ? -errno : 0;
}

/*
 * Sets bit N - 1 of *@ignoredp if signal N is ignored. A system call for each signal takes less
 * time than to open and read /proc/self/status. Returns 0 or a negative errno.
 */
int signals_read_ignored(uint64_t *ignoredp) {
    const uintptr_t ignore = (uintptr_t)SIG_IGN; /* NOLINT(performance-no-int-to-ptr) */
    uintptr_t action[32];                        /* more than the kernel's on any architecture */
    uint64_t ignored = 0;

    for (unsigned number = 1; number <= 64; number++) {
        if (syscall(SYS_rt_sigaction, number, NULL, action, KERNEL_SET_SIZE) < 0)
            return -errno;
        if (action[HANDLER_WORD] == ignore)
            ignored |= UINT64_C(1) << (number - 1);
    }
    *ignoredp = ignored;
    return 0;
}
