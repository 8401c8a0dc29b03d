#include "launcher/inherit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/signals.h"
#include "utsbroker/protocol.h"

/*
 * Counts the open descriptors: by stat(2) since Linux 6.2, before that by listing them, which takes
 * several times as long.
 */
static int descriptors_count(size_t *np) {
    struct stat status;
    DIR *folder;
    size_t n = 0;

    if (stat("/proc/self/fd", &status) < 0)
        return -errno;
    if (status.st_size > 0) {
        *np = (size_t)status.st_size;
        return 0;
    }
    folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return -errno;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        n += entry->d_name[0] != '.';
    (void)closedir(folder);
    *np = n - 1; /* without the folder's own, which is close-on-exec */
    return 0;
}

/*
 * Lists which of the @n_open descriptors an execve(2) keeps: those that are not close-on-exec.
 * Fails if it cannot ask about one, as in a sandbox: it would search up to INT_MAX.
 */
static int numbers_list(struct inheritance *inheritance, size_t n_open, size_t max) {
    inheritance->n_fds = 0;
    for (int fd = 0; n_open > 0 && fd < INT_MAX; fd++) {
        int flags = fcntl(fd, F_GETFD);

        if (flags < 0 && errno != EBADF)
            return -errno;
        n_open -= flags >= 0;
        if (flags < 0 || (flags & FD_CLOEXEC) != 0)
            continue;
        if (inheritance->n_fds < max)
            inheritance->numbers[inheritance->n_fds] = fd;
        inheritance->n_fds++;
    }
    return 0;
}

/* Only for a program without threads: another could create a file while the mask is 0. */
static mode_t umask_read(void) {
    mode_t mask = umask(0);

    (void)umask(mask);
    return mask;
}

/*
 * Collects what the command inherits from a caller with the signal mask @mask. For each of 0, 1 and
 * 2 that is @terminal, the command gets the pty. Returns 0; INHERIT_E_TOO_MANY, with the number of
 * descriptors in n_fds; or a negative errno.
 */
int inherit_collect(struct inheritance *inheritance, const struct terminal *terminal,
                    const sigset_t *mask) {
    /* The record has the launch description, the working directory and the terminal, too. */
    const size_t max =
        CHANNEL_FDS_MAX - (terminal->slave >= 0 ? PROTOCOL_MONITOR_FD + 1 : PROTOCOL_CWD_FD + 1);
    size_t n_open = 0;
    int r = descriptors_count(&n_open);

    if (r == 0)
        r = signals_read_ignored(&inheritance->ignored_signals);
    if (r < 0)
        return r;
    inheritance->umask = umask_read();
    inheritance->mask = mask;
    r = numbers_list(inheritance, n_open, max);
    if (r < 0)
        return r;
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

/* With more processors than fit (EINVAL) the command gets no affinity. */
static int processors_fill(struct launch_header *header) {
    cpu_set_t processors;

    if (sched_getaffinity(0, sizeof(processors), &processors) < 0)
        return errno == EINVAL ? 0 : -errno;
    for (size_t i = 0; i < LAUNCH_PROCESSORS_MAX && i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &processors))
            header->processors[i / 64] |= UINT64_C(1) << (i % 64);
    header->n_processors = LAUNCH_PROCESSORS_MAX;
    return 0;
}

/* Writes all but the descriptors themselves to @header. Returns 0 or a negative errno. */
int inherit_describe(const struct inheritance *inheritance, struct launch_header *header) {
    header->n_descriptors = (uint32_t)inheritance->n_fds;
    header->umask = inheritance->umask;
    header->ignored_signals = inheritance->ignored_signals;
    header->blocked_signals = blocked_signals(inheritance->mask);
    return processors_fill(header);
}
