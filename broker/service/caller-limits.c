#include "broker/service/caller-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "utsbroker/base.h"

/* Of sched_getattr(2), as Linux 3.14 has it. Newer members are left out. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice; /* not of a real-time policy */
    uint32_t priority;
    uint64_t runtime, deadline, period;
};
_Static_assert(sizeof(struct scheduling) == 48, "the kernel knows it by its size");

enum { POLICY_DEADLINE = 6, FLAG_RESET_ON_FORK = 1, IO_CLASS_SHIFT = 13, IO_WHO_PROCESS = 1 };

static int nice_read(struct limits *limits, pid_t pid) {
    errno = 0; /* -1 is also a valid nice value */
    limits->nice = getpriority(PRIO_PROCESS, (id_t)pid);
    return -errno;
}

/* A kernel without the call (ENOSYS) is an emulated one. A deadline policy is not noted: it
 * reserves time for one process, and is never inherited. */
static int scheduling_read(struct limits *limits, pid_t pid) {
    struct scheduling now = {.size = sizeof(now)};

    if (syscall(SYS_sched_getattr, pid, &now, sizeof(now), 0) < 0)
        return errno == ENOSYS ? nice_read(limits, pid) : -errno;
    if (now.policy != POLICY_DEADLINE) {
        limits->policy = (int32_t)now.policy;
        limits->priority = (int32_t)now.priority;
        if ((now.flags & FLAG_RESET_ON_FORK) != 0)
            limits->policy |= SCHED_RESET_ON_FORK;
    }
    if (now.policy == SCHED_FIFO || now.policy == SCHED_RR || now.policy == POLICY_DEADLINE)
        return nice_read(limits, pid);
    limits->nice = now.nice;
    return 0;
}

/* Without a class the priority follows from the nice value, whatever the rest says. */
static int io_priority_read(struct limits *limits, pid_t pid) {
    long priority = syscall(SYS_ioprio_get, IO_WHO_PROCESS, pid);

    if (priority < 0)
        return errno == ENOSYS ? 0 : -errno;
    limits->io_priority = priority >> IO_CLASS_SHIFT == 0 ? 0 : (int32_t)priority;
    return 0;
}

/* Not all kernels have each file. */
static int number_read(int folder, const char *name, int base, int32_t *numberp) {
    CLEANUP_FD int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    char text[32];
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

    if (n < 0)
        return errno == ENOENT ? 0 : -errno;
    text[n] = '\0';
    *numberp = (int32_t)strtol(text, NULL, base);
    return 0;
}

/*
 * Reads what binds the process @pid, whose folder in /proc is @folder. What the kernel does not
 * have is LIMITS_UNCHANGED. Returns 0 or a negative errno.
 */
int caller_limits_read(struct limits *limits, pid_t pid, int folder) {
    int r;

    limits->policy = limits->io_priority = LIMITS_UNCHANGED;
    limits->oom_score_adj = limits->coredump_filter = LIMITS_UNCHANGED;
    limits->priority = 0;
    /* A call for each takes less time than to read the file that has all. */
    for (int resource = 0; resource < RLIM_NLIMITS; resource++)
        if (prlimit(pid, (resource_limit)resource, NULL, &limits->all[resource]) < 0)
            return -errno;
    r = scheduling_read(limits, pid);
    if (r == 0)
        r = io_priority_read(limits, pid);
    if (r == 0)
        r = number_read(folder, "oom_score_adj", 10, &limits->oom_score_adj);
    return r < 0 ? r : number_read(folder, "coredump_filter", 16, &limits->coredump_filter);
}

/* Notes as LIMITS_UNCHANGED what the service has, too: it is not to be set. */
void caller_limits_compare(struct limits *limits, const struct limits *own) {
    if (limits->policy == own->policy && limits->priority == own->priority)
        limits->policy = LIMITS_UNCHANGED;
    if (limits->io_priority == own->io_priority)
        limits->io_priority = LIMITS_UNCHANGED;
    if (limits->oom_score_adj == own->oom_score_adj)
        limits->oom_score_adj = LIMITS_UNCHANGED;
    if (limits->coredump_filter == own->coredump_filter)
        limits->coredump_filter = LIMITS_UNCHANGED;
}
