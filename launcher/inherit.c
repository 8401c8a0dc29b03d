#include "launcher/inherit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int number_compare(const void *a, const void *b) {
    int32_t left = *(const int32_t *)a;
    int32_t right = *(const int32_t *)b;

    return (left > right) - (left < right);
}

/* Those that execve(2) would let through: open, and not close-on-exec. */
static int numbers_list(int32_t *numbers, size_t max, size_t *np) {
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    size_t n = 0;

    if (folder == NULL)
        return -errno;
    while ((entry = readdir(folder)) != NULL) {
        int fd = atoi(entry->d_name); /* "." and ".." are 0: asked for below */
        int flags = entry->d_name[0] != '.' ? fcntl(fd, F_GETFD) : -1;

        if (flags < 0 || (flags & FD_CLOEXEC) != 0)
            continue;
        if (n < max)
            numbers[n] = fd;
        n++;
    }
    (void)closedir(folder);
    *np = n;
    return 0;
}

/*
 * Lists the descriptors that the command inherits; where @terminal stands for one of 0, 1 and 2,
 * the command gets its pty. Returns 0; INHERIT_E_TOO_MANY with n_fds the number of them; a negative
 * errno.
 */
int inherit_descriptors(struct inheritance *inheritance, const struct terminal *terminal) {
    /* Before them go the launch description, the working directory, and a terminal. */
    size_t max = CHANNEL_FDS_MAX - (terminal->slave >= 0 ? 3 : 2);
    int r = numbers_list(inheritance->numbers, max, &inheritance->n_fds);

    if (r < 0)
        return r;
    if (inheritance->n_fds > max)
        return INHERIT_E_TOO_MANY;
    qsort(inheritance->numbers, inheritance->n_fds, sizeof(inheritance->numbers[0]),
          number_compare);
    for (size_t i = 0; i < inheritance->n_fds; i++) {
        int32_t number = inheritance->numbers[i];
        bool is_terminal = terminal->slave >= 0 && number <= 2 && terminal->is_standard[number];

        inheritance->fds[i] = is_terminal ? terminal->slave : number;
    }
    return 0;
}

static uint64_t ignored_signals(void) {
    uint64_t ignored = 0;

    for (int number = 1; number <= 64; number++) {
        struct sigaction action;

        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            ignored |= UINT64_C(1) << (number - 1);
    }
    return ignored;
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

/* Fills in what the service needs to know of this process; @mask is the caller's signal mask. */
void inherit_attributes(struct launch_header *header, const sigset_t *mask) {
    mode_t mode = umask(077);

    (void)umask(mode);
    header->umask = mode;
    header->nice = getpriority(PRIO_PROCESS, 0);
    header->ignored_signals = ignored_signals();
    header->blocked_signals = blocked_signals(mask);
    processors_fill(header);
}
