#include "launcher/inherit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

/* True if this process has a lock of fcntl(2) by @fd (proc(5), fdinfo). */
static bool holds_record_lock(int fd) {
    char path[64], line[256];
    bool is_locked = false;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    file = fopen(path, "re");
    if (file == NULL)
        return true; /* it is not known */
    while (!is_locked && fgets(line, sizeof(line), file) != NULL)
        is_locked = strncmp(line, "lock:", 5) == 0 && strstr(line, " POSIX ") != NULL;
    (void)fclose(file);
    return is_locked;
}

static bool is_regular(int fd) {
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/*
 * Closes what this process has inherited, now that the command has it: others notice when the
 * command closes a pipe, or ends a lock of flock(2). With @keeps_errors standard error stays:
 * utsrun says there what fails later. What utsrun has opened itself is close-on-exec and stays.
 *
 * A lock of fcntl(2) belongs to the process that executed utsrun, and close(2) of any descriptor of
 * its file ends it. So with such a lock all files stay open: it lasts as long as the command.
 */
void inherit_close(bool keeps_errors) {
    size_t n_open = 0;
    bool has_lock = false;

    if (descriptors_count(&n_open) < 0)
        return;
    for (int pass = 0; pass < 2; pass++) {
        size_t left = n_open;

        for (int fd = 0; left > 0 && fd < INT_MAX; fd++) {
            int flags = fcntl(fd, F_GETFD);

            if (flags < 0 && errno != EBADF)
                return;
            left -= flags >= 0;
            if (flags < 0 || (flags & FD_CLOEXEC) != 0 || (fd == STDERR_FILENO && keeps_errors))
                continue;
            if (pass == 0)
                has_lock = has_lock || (is_regular(fd) && holds_record_lock(fd));
            else if (!has_lock || !is_regular(fd))
                (void)close(fd);
        }
    }
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

/* What the kernel tells only to the process itself. By syscall(2): the value may exceed an int. */
static void timing_and_memory_fill(struct launch_header *header) {
    long slack = syscall(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
    int policy = 0;

    header->timer_slack = slack > 0 ? (uint64_t)slack : 0;
    header->memory_policy = LAUNCH_MEMORY_POLICY_UNKNOWN;
    /* The kernel takes one less than the number of nodes that it is told. */
    if (syscall(SYS_get_mempolicy, &policy, header->memory_nodes, LAUNCH_MEMORY_NODES_MAX + 1, NULL,
                0) == 0)
        header->memory_policy = policy;
}

/* Writes all but the descriptors themselves to @header. Returns 0 or a negative errno. */
int inherit_describe(const struct inheritance *inheritance, struct launch_header *header) {
    header->n_descriptors = (uint32_t)inheritance->n_fds;
    header->umask = inheritance->umask;
    header->ignored_signals = inheritance->ignored_signals;
    header->blocked_signals = blocked_signals(inheritance->mask);
    timing_and_memory_fill(header);
    return processors_fill(header);
}
