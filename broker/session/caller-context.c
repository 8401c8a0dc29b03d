#include "broker/session/caller-context.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "utsbroker/base.h"
#include "utsbroker/protocol.h"

static rlim_t smaller(rlim_t a, rlim_t b) {
    return a < b ? a : b;
}

/*
 * Sets this process's limit of @resource to @wanted, or to its own hard limit where that is lower:
 * to go above needs CAP_SYS_RESOURCE (setrlimit(2)). Returns 0 or a negative errno.
 */
int caller_context_set_limit(int resource, const struct rlimit *wanted) {
    struct rlimit now, next;

    if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
        return -errno;
    next.rlim_max = smaller(wanted->rlim_max, now.rlim_max);
    next.rlim_cur = smaller(wanted->rlim_cur, next.rlim_max);
    if (next.rlim_cur == now.rlim_cur && next.rlim_max == now.rlim_max)
        return 0;
    return setrlimit((__rlimit_resource_t)resource, &next) < 0 ? -errno : 0;
}

static int limits_take(const struct limits *limits) {
    int r = 0;

    for (int resource = 0; resource < RLIM_NLIMITS && r == 0; resource++)
        r = caller_context_set_limit(resource, &limits->all[resource]);
    return r;
}

/* One that the command wants, or keeps closed. */
static bool number_is_taken(const struct launch *launch, int fd) {
    for (size_t i = 0; i < launch->header.n_descriptors; i++)
        if (launch->descriptors[i] == fd)
            return true;
    return fd <= 2;
}

/* Gives *@fdp another number if its own is taken: what is there is lost. */
static int fd_move_away(const struct launch *launch, int *fdp) {
    int least = 3, fd;

    if (!number_is_taken(launch, *fdp))
        return 0;
    /* Of the numbers above the highest there may be none, at the limit. */
    while ((fd = fcntl(*fdp, F_DUPFD_CLOEXEC, least)) >= 0) {
        if (!number_is_taken(launch, fd)) {
            *fdp = fd;
            return 0;
        }
        (void)close(fd); /* *@fdp has it, too */
        least = fd + 1;
    }
    return errno == EINVAL ? -EMFILE : -errno; /* behind the last one that there can be */
}

/*
 * Puts each descriptor at its number. All others are close-on-exec, but for 0, 1 and 2 of the
 * service's own, which are not the command's to have. @channelp is moved out of the way.
 */
static int descriptors_take(const struct launch *launch, const int *fds, int *channelp) {
    size_t n = launch->header.n_descriptors;
    int moved[CHANNEL_FDS_MAX];
    uint32_t taken = 0;
    int r = fd_move_away(launch, channelp);

    for (size_t i = 0; i < n && r == 0; i++) {
        moved[i] = fds[i];
        r = fd_move_away(launch, &moved[i]);
    }
    for (size_t i = 0; i < n && r == 0; i++) {
        if (dup2(moved[i], launch->descriptors[i]) < 0)
            r = -errno;
        if (launch->descriptors[i] <= 2)
            taken |= 1U << launch->descriptors[i];
    }
    for (int fd = 0; fd <= 2 && r == 0; fd++)
        if ((taken & (1U << fd)) == 0)
            (void)close(fd);
    return r;
}

/*
 * A terminal is one session's (tty_ioctl(4)), so with one the command has a session of its own.
 * Without, a process group of its own in the service's session: its parent is in that session, so
 * the group is no orphaned one, and SIGTSTP stops it as it should (signal(7)).
 */
static int group_begin(const struct channel_fds *fds, uint32_t flags) {
    if ((flags & PROTOCOL_HAS_TERMINAL) == 0)
        return setpgid(0, 0) < 0 ? -errno : 0;
    if (setsid() < 0 || ioctl(fds->fds[PROTOCOL_TERMINAL_FD], TIOCSCTTY, 0) < 0)
        return -errno;
    return 0;
}

static bool bit_is_set(const uint64_t *bits, size_t bit) {
    return (bits[bit / 64] >> (bit % 64) & 1) != 0;
}

/* A nice value below the service's wants a right that it has not (setpriority(2)): it is left. */
static int nice_take(int nice) {
    int now = getpriority(PRIO_PROCESS, 0); /* which cannot fail */

    return nice > now && setpriority(PRIO_PROCESS, 0, nice) < 0 ? -errno : 0;
}

/* A cpuset may allow none of the processors (EINVAL): then they are left as they are. */
static int processors_take(const struct launch_header *header) {
    cpu_set_t processors;

    if (header->n_processors == 0)
        return 0;
    CPU_ZERO(&processors);
    for (size_t i = 0; i < header->n_processors && i < CPU_SETSIZE; i++)
        if (bit_is_set(header->processors, i))
            CPU_SET(i, &processors);
    if (sched_setaffinity(0, sizeof(processors), &processors) < 0 && errno != EINVAL)
        return -errno;
    return 0;
}

/* The service ignores nothing. What cannot be ignored (EINVAL), such as the two that the C library
 * keeps for itself, stays as it is.
 */
static int signals_take(const struct launch_header *header) {
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t blocked;

    (void)sigemptyset(&blocked);
    for (int number = 1; number <= 64; number++) {
        size_t bit = (size_t)number - 1;

        if (bit_is_set(&header->ignored_signals, bit) && sigaction(number, &ignore, NULL) < 0 &&
            errno != EINVAL)
            return -errno;
        if (bit_is_set(&header->blocked_signals, bit))
            (void)sigaddset(&blocked, number);
    }
    return sigprocmask(SIG_SETMASK, &blocked, NULL) < 0 ? -errno : 0;
}

/*
 * Puts this process, which must hold no capability any more, into the place of the caller: working
 * directory, session and terminal, descriptors, umask, nice value, processors, limits, signals.
 * @fds came with the request of @flags; *@channelp, which must stay usable, gets another number if
 * need be. @limits are what the kernel says that the caller's are.
 *
 * Returns 0; -EBADMSG if @launch does not fit @fds; another negative errno.
 */
int caller_context_apply(const struct launch *launch, const struct channel_fds *fds, uint32_t flags,
                         const struct limits *limits, int *channelp) {
    size_t first =
        (flags & PROTOCOL_HAS_TERMINAL) != 0 ? PROTOCOL_TERMINAL_FD + 1 : PROTOCOL_TERMINAL_FD;
    int r = 0;

    if (fds->n_fds != first + launch->header.n_descriptors)
        return -EBADMSG;
    if (fchdir(fds->fds[PROTOCOL_CWD_FD]) < 0)
        return -errno;
    r = group_begin(fds, flags);
    if (r == 0)
        r = descriptors_take(launch, fds->fds + first, channelp);
    if (r < 0)
        return r;
    (void)umask(launch->header.umask);
    r = nice_take(limits->nice);
    if (r == 0)
        r = processors_take(&launch->header);
    if (r == 0)
        r = limits_take(limits);
    return r < 0 ? r : signals_take(&launch->header);
}
