#include "launcher/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/*
 * What the kernel says of this process, in one file (proc(5)): to ask for each signal and to list
 * /proc/self/fd costs ten times as much, and all of a launch waits for it.
 */
struct status {
    unsigned n_numbers; /* descriptors have numbers below this */
    unsigned umask;
    uint64_t ignored_signals;
};

static int status_read(struct status *status) {
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    unsigned n_found = 0;

    if (file == NULL)
        return -errno;
    /* A line may be longer, as that of the groups is: what follows is not taken for another. */
    while (n_found < 3 && fgets(line, sizeof(line), file) != NULL)
        n_found += (unsigned)(sscanf(line, "Umask: %o", &status->umask) == 1 ||
                              sscanf(line, "FDSize: %u", &status->n_numbers) == 1 ||
                              sscanf(line, "SigIgn: %" SCNx64, &status->ignored_signals) == 1);
    (void)fclose(file);
    return n_found == 3 ? 0 : -ENODATA;
}

/* Of the numbers below @n_numbers, lists those that execve(2) would let through: not close-on-exec.
 */
static void numbers_list(struct inheritance *inheritance, int n_numbers, size_t max) {
    inheritance->n_fds = 0;
    for (int fd = 0; fd < n_numbers; fd++) {
        int flags = fcntl(fd, F_GETFD);

        if (flags < 0 || (flags & FD_CLOEXEC) != 0)
            continue;
        if (inheritance->n_fds < max)
            inheritance->numbers[inheritance->n_fds] = fd;
        inheritance->n_fds++;
    }
}

/*
 * Gathers what the command inherits, for a caller whose signal mask is @mask; where @terminal
 * stands for one of 0, 1 and 2, the command gets its pty. Returns 0; INHERIT_E_TOO_MANY with n_fds
 * the number of descriptors; a negative errno.
 */
int inherit_collect(struct inheritance *inheritance, const struct terminal *terminal,
                    const sigset_t *mask) {
    /* Before them go the launch description, the working directory, and a terminal. */
    const size_t max = CHANNEL_FDS_MAX - (terminal->slave >= 0 ? 3 : 2);
    struct status status = {.n_numbers = 0};
    int r = status_read(&status);

    if (r < 0)
        return r;
    inheritance->umask = status.umask;
    inheritance->ignored_signals = status.ignored_signals;
    inheritance->mask = mask;
    numbers_list(inheritance, (int)status.n_numbers, max);
    if (inheritance->n_fds > max)
        return INHERIT_E_TOO_MANY;
    for (size_t i = 0; i < inheritance->n_fds; i++) {
        int32_t number = inheritance->numbers[i];
        bool is_terminal = terminal->slave >= 0 && number <= 2 && terminal->is_standard[number];

        inheritance->fds[i] = is_terminal ? terminal->slave : number;
    }
    return 0;
}

static uint64_t blocked_signals(const sigset_t *mask) {
    uint64_t blocked = 0;

    for (int number = 1; number <= 64; number++)
        if (sigismember(mask, number) == 1)
            blocked |= UINT64_C(1) << (number - 1);
    return blocked;
}

/* A machine with more processors than fit leaves it to the scheduler. */
static void processors_fill(struct launch_header *header) {
    cpu_set_t processors;

    if (sched_getaffinity(0, sizeof(processors), &processors) < 0)
        return;
    for (size_t i = 0; i < LAUNCH_PROCESSORS_MAX && i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &processors))
            header->processors[i / 64] |= UINT64_C(1) << (i % 64);
    header->n_processors = LAUNCH_PROCESSORS_MAX;
}

/* Fills in what the service needs to know besides the descriptors themselves. */
void inherit_describe(const struct inheritance *inheritance, struct launch_header *header) {
    header->n_descriptors = (uint32_t)inheritance->n_fds;
    header->umask = inheritance->umask;
    header->ignored_signals = inheritance->ignored_signals;
    header->blocked_signals = blocked_signals(inheritance->mask);
    processors_fill(header);
}
