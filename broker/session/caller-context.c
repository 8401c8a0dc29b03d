/*
 * Takes the caller's context, for a command of the service.
 *
 * Runs in the service's gate, as the user and without any capability, after the gate has set its
 * names. What the user sent (the launch description, the descriptors) is read here and can harm
 * only that user.
 */

#include "broker/session/caller-context.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/privilege.h"
#include "utsbroker/base.h"
#include "utsbroker/protocol.h"

enum { IO_WHO_PROCESS = 1 }; /* ioprio_set(2); older kernel headers lack it */

static rlim_t min_limit(rlim_t a, rlim_t b) {
    return a < b ? a : b;
}

/*
 * Sets this process's limit of @resource to @wanted, or to its own hard limit if that is lower: a
 * higher one needs CAP_SYS_RESOURCE (setrlimit(2)). Returns 0 or a negative errno.
 */
int caller_context_set_limit(int resource, const struct rlimit *wanted) {
    struct rlimit now, next;

    if (getrlimit((resource_limit)resource, &now) < 0)
        return -errno;
    next.rlim_max = min_limit(wanted->rlim_max, now.rlim_max);
    next.rlim_cur = min_limit(wanted->rlim_cur, next.rlim_max);
    if (next.rlim_cur == now.rlim_cur && next.rlim_max == now.rlim_max)
        return 0;
    return setrlimit((resource_limit)resource, &next) < 0 ? -errno : 0;
}

/* Sets the limits of setrlimit(2), as caller_context_set_limit(). Returns 0 or a negative errno. */
int caller_context_apply_limits(const struct limits *limits) {
    int r = 0;

    for (int resource = 0; resource < RLIM_NLIMITS && r == 0; resource++)
        r = caller_context_set_limit(resource, &limits->all[resource]);
    return r;
}

/* True if the command inherits @fd, or has it closed on purpose (0, 1 and 2). */
static bool is_number_reserved(const struct launch *launch, int fd) {
    for (size_t i = 0; i < launch->header.n_descriptors; i++)
        if (launch->descriptors[i] == fd)
            return true;
    return fd <= 2;
}

/* Moves *@fdp to a free number if its own is reserved, since that one is overwritten later. */
static int caller_context_move_descriptor(const struct launch *launch, int *fdp) {
    int least = 3, fd;

    if (!is_number_reserved(launch, *fdp))
        return 0;
    /* Not simply above the highest: at the limit (RLIMIT_NOFILE) there may be no such number. */
    while ((fd = fcntl(*fdp, F_DUPFD_CLOEXEC, least)) >= 0) {
        if (!is_number_reserved(launch, fd)) {
            *fdp = fd;
            return 0;
        }
        (void)close(fd); /* a duplicate of *@fdp */
        least = fd + 1;
    }
    return errno == EINVAL ? -EMFILE : -errno; /* EINVAL: above the limit */
}

/*
 * Puts each descriptor at the number that the command expects. 0, 1 and 2 are closed if the command
 * inherits none there: they are the service's own. All others are close-on-exec. The @n_kept of
 * @kept are moved out of the way. The numbers at which they came are free afterwards: what follows
 * needs some below the caller's limit (RLIMIT_NOFILE).
 */
static int caller_context_apply_descriptors(const struct launch *launch, const int *fds,
                                            int *const *kept, size_t n_kept) {
    size_t n = launch->header.n_descriptors;
    int moved[CHANNEL_FDS_MAX];
    uint32_t taken = 0;
    int r = 0;

    for (size_t i = 0; i < n_kept && r == 0; i++)
        if (*kept[i] >= 0)
            r = caller_context_move_descriptor(launch, kept[i]);
    for (size_t i = 0; i < n && r == 0; i++) {
        moved[i] = fds[i];
        r = caller_context_move_descriptor(launch, &moved[i]);
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
    for (size_t i = 0; i < n && r == 0; i++)
        (void)close(moved[i]); /* never a number that the command expects */
    return r;
}

/*
 * Starts the command's session or process group. A terminal belongs to one session (tty_ioctl(4)),
 * so with a terminal this process leads a new session, and is then to be the command's monitor.
 * Without one it leads a process group in the service's session. Its parent is in that session, so
 * the group is not orphaned, and SIGTSTP stops it as usual (signal(7)).
 */
static int caller_context_start_process_group(int terminal) {
    if (terminal < 0)
        return setpgid(0, 0) < 0 ? -errno : 0;
    return setsid() < 0 || ioctl(terminal, TIOCSCTTY, 0) < 0 ? -errno : 0;
}

static bool is_bit_set(const uint64_t *bits, size_t bit) {
    return (bits[bit / 64] >> (bit % 64) & 1) != 0;
}

/* A nice value below the service's own needs a right that it lacks (setpriority(2)): ignored. */
static int caller_context_apply_nice(int nice) {
    int now = getpriority(PRIO_PROCESS, 0); /* cannot fail for the caller itself */

    return nice > now && setpriority(PRIO_PROCESS, 0, nice) < 0 ? -errno : 0;
}

/*
 * True if the kernel does not have this setting, or not for this process: more than the service has
 * needs a right that it lacks. Then the service's own stays.
 */
static bool is_setting_refused(int error) {
    return error == EPERM || error == EACCES || error == EINVAL || error == ENOSYS;
}

/* By syscall(2): musl has no sched_setscheduler(3) that works, and no C library ioprio_set(2). */
static int caller_context_apply_scheduling(const struct limits *limits) {
    const struct sched_param parameter = {.sched_priority = limits->priority};

    if (limits->policy != LIMITS_UNCHANGED &&
        syscall(SYS_sched_setscheduler, 0, limits->policy, &parameter) < 0 &&
        !is_setting_refused(errno))
        return -errno;
    if (limits->io_priority != LIMITS_UNCHANGED &&
        syscall(SYS_ioprio_set, IO_WHO_PROCESS, 0, limits->io_priority) < 0 &&
        !is_setting_refused(errno))
        return -errno;
    return 0;
}

/* The file stays -1 if the setting is not to be set, or cannot be. */
static int own_file_open(const char *path, int value, int *fdp) {
    if (value == LIMITS_UNCHANGED)
        return 0;
    *fdp = open(path, O_WRONLY | O_CLOEXEC);
    return *fdp < 0 && !is_setting_refused(errno) ? -errno : 0;
}

/*
 * Opens the files in @channels for those of the caller's @limits that have no system call;
 * caller_context_apply() writes them. This process must still hold its capability. Returns 0 or a
 * negative errno.
 */
int caller_context_open_files(const struct limits *limits, struct caller_channels *channels) {
    sigset_t all, mask;
    int r, forbidden;

    if (limits->oom_score_adj == LIMITS_UNCHANGED && limits->coredump_filter == LIMITS_UNCHANGED)
        return 0;
    (void)sigfillset(&all);
    if (sigprocmask(SIG_SETMASK, &all, &mask) < 0)
        return -errno;
    /*
     * Safe: while this process is not dumpable, its files belong to root. The user's processes lack
     * its capability, so they cannot attach to it; no signal makes it dump core.
     */
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
        return -errno;
    r = own_file_open("/proc/self/oom_score_adj", limits->oom_score_adj, &channels->oom_score_adj);
    if (r == 0)
        r = own_file_open("/proc/self/coredump_filter", limits->coredump_filter,
                          &channels->coredump_filter);
    forbidden = privilege_forbid_attach();
    if (r == 0)
        r = forbidden;
    return sigprocmask(SIG_SETMASK, &mask, NULL) < 0 ? -errno : r;
}

static int own_file_write(int fd, int value) {
    char text[16];
    int n = snprintf(text, sizeof(text), "%d", value);
    int r = fd >= 0 && write(fd, text, (size_t)n) < 0 && !is_setting_refused(errno) ? -errno : 0;

    if (fd >= 0)
        (void)close(fd);
    return r;
}

static int caller_context_apply_files(const struct limits *limits,
                                      const struct caller_channels *channels) {
    int r = own_file_write(channels->oom_score_adj, limits->oom_score_adj);
    int filter_r = own_file_write(channels->coredump_filter, limits->coredump_filter);

    return r < 0 ? r : filter_r;
}

/* A memory policy whose nodes the cpuset does not permit (EINVAL) is not taken. */
static int caller_context_apply_memory(const struct launch_header *header) {
    if (header->timer_slack != 0 &&
        prctl(PR_SET_TIMERSLACK, (unsigned long)header->timer_slack, 0, 0, 0) < 0 &&
        !is_setting_refused(errno))
        return -errno;
    if (header->memory_policy != LAUNCH_MEMORY_POLICY_UNKNOWN &&
        syscall(SYS_set_mempolicy, (int)header->memory_policy, header->memory_nodes,
                LAUNCH_MEMORY_NODES_MAX + 1) < 0 &&
        !is_setting_refused(errno))
        return -errno;
    return 0;
}

/* If the cpuset permits none of the processors (EINVAL), they stay as they are. */
static int caller_context_apply_processors(const struct launch_header *header) {
    cpu_set_t processors;

    if (header->n_processors == 0)
        return 0;
    CPU_ZERO(&processors);
    for (size_t i = 0; i < header->n_processors && i < CPU_SETSIZE; i++)
        if (is_bit_set(header->processors, i))
            CPU_SET(i, &processors);
    if (sched_setaffinity(0, sizeof(processors), &processors) < 0 && errno != EINVAL)
        return -errno;
    return 0;
}

/*
 * Ignores and blocks the signals that the caller does; the service itself ignores none. A signal
 * that cannot be ignored (EINVAL), such as the two that the C library uses itself, stays as it is.
 */
static int caller_context_apply_signals(const struct launch_header *header) {
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t blocked;

    (void)sigemptyset(&blocked);
    for (int number = 1; number <= 64; number++) {
        size_t bit = (size_t)number - 1;

        if (is_bit_set(&header->ignored_signals, bit) && sigaction(number, &ignore, NULL) < 0 &&
            errno != EINVAL)
            return -errno;
        if (is_bit_set(&header->blocked_signals, bit))
            (void)sigaddset(&blocked, number);
    }
    return sigprocmask(SIG_SETMASK, &blocked, NULL) < 0 ? -errno : 0;
}

/*
 * Gives this process, which must hold no capability, the caller's context: working directory,
 * session and terminal, descriptors, umask, scheduling, processors, memory policy, limits, signals.
 * @fds are the request's descriptors, @flags its flags, and @limits what the kernel reports about
 * the caller. channels->session stays usable, but may become another number. The terminal and
 * the monitor's channel are filled in; they are -1 if the request has no terminal, else
 * monitor_start() must follow. The files are closed.
 *
 * Returns 0; -EBADMSG if @launch does not fit @fds; another negative errno.
 */
int caller_context_apply(const struct launch *launch, const struct channel_fds *fds, uint32_t flags,
                         const struct limits *limits, struct caller_channels *channels) {
    bool has_terminal = (flags & PROTOCOL_HAS_TERMINAL) != 0;
    size_t first = has_terminal ? PROTOCOL_MONITOR_FD + 1 : PROTOCOL_CWD_FD + 1;
    int *const kept[] = {&channels->session, &channels->terminal, &channels->monitor,
                         &channels->oom_score_adj, &channels->coredump_filter};
    int r = 0;

    if (fds->n_fds != first + launch->header.n_descriptors)
        return -EBADMSG;
    channels->terminal = has_terminal ? fds->fds[PROTOCOL_TERMINAL_FD] : -1;
    channels->monitor = has_terminal ? fds->fds[PROTOCOL_MONITOR_FD] : -1;
    if (fchdir(fds->fds[PROTOCOL_CWD_FD]) < 0)
        return -errno;
    /* Both have been used: their numbers may be needed, as those of the other descriptors. */
    (void)close(fds->fds[PROTOCOL_CWD_FD]);
    (void)close(fds->fds[PROTOCOL_LAUNCH_FD]);
    r = caller_context_start_process_group(channels->terminal);
    if (r == 0)
        r = caller_context_apply_descriptors(launch, fds->fds + first, kept, BASE_ARRAY_SIZE(kept));
    if (r < 0)
        return r;
    (void)umask(launch->header.umask);
    r = caller_context_apply_nice(limits->nice);
    if (r == 0)
        r = caller_context_apply_scheduling(limits);
    if (r == 0)
        r = caller_context_apply_files(limits, channels);
    if (r == 0)
        r = caller_context_apply_memory(&launch->header);
    if (r == 0)
        r = caller_context_apply_processors(&launch->header);
    if (r == 0)
        r = caller_context_apply_limits(limits);
    return r < 0 ? r : caller_context_apply_signals(&launch->header);
}
