/* What the service reads of a caller, and what of it the command must be given. */

#include "broker/service/caller-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/test.h"

enum { IO_IDLE = 3 << 13, IO_BEST_EFFORT_6 = 2 << 13 | 6 };

static void nothing(void) {
}

static void be_batch(void) {
    (void)syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &(struct sched_param){0});
}

static void be_idle(void) {
    (void)syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &(struct sched_param){0});
}

static void reset_on_fork(void) {
    (void)syscall(SYS_sched_setscheduler, 0, SCHED_BATCH | SCHED_RESET_ON_FORK,
                  &(struct sched_param){0});
}

static void be_nice(void) {
    (void)setpriority(PRIO_PROCESS, 0, 19);
}

static void be_idle_and_nice(void) {
    be_nice();
    be_idle();
}

static void io_idle(void) {
    (void)syscall(SYS_ioprio_set, 1, 0, IO_IDLE);
}

static void io_last_but_one(void) {
    (void)syscall(SYS_ioprio_set, 1, 0, IO_BEST_EFFORT_6);
}

static void file_write(const char *path, const char *text) {
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (write(fd, text, strlen(text)) < 0)
        _exit(1);
}

static void be_killed_first(void) {
    file_write("/proc/self/oom_score_adj", "1000");
}

static void dump_all(void) {
    file_write("/proc/self/coredump_filter", "0x1ff");
}

/* Starts a process that calls @set_up and waits. */
static pid_t caller_start(void (*set_up)(void)) {
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        set_up();
        (void)!write(ready[1], "x", 1);
        (void)pause();
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    return pid;
}

static int limits_of(pid_t pid, struct limits *limits) {
    char path[32];
    CLEANUP_FD int folder = -1;

    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return caller_limits_read(limits, pid, folder);
}

static void caller_end(pid_t pid) {
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* What is to be set: @wanted, unless this process has it. */
static int32_t if_differs(int32_t wanted, int32_t own) {
    return wanted == own ? LIMITS_UNCHANGED : wanted;
}

/* LIMITS_UNCHANGED: as this process has it, which the command inherits. */
static void only_what_differs_is_to_be_set(void **state) {
    enum { SAME = LIMITS_UNCHANGED };
    static const struct {
        const char *what;
        void (*set_up)(void);
        int32_t policy, io_priority, oom_score_adj, coredump_filter, nice;
    } cases[] = {
        {"nothing", nothing, SAME, SAME, SAME, SAME, SAME},
        {"SCHED_BATCH", be_batch, SCHED_BATCH, SAME, SAME, SAME, SAME},
        {"SCHED_IDLE", be_idle, SCHED_IDLE, SAME, SAME, SAME, SAME},
        {"reset on fork", reset_on_fork, SCHED_BATCH | SCHED_RESET_ON_FORK, SAME, SAME, SAME, SAME},
        {"a nice value", be_nice, SAME, SAME, SAME, SAME, 19},
        {"both", be_idle_and_nice, SCHED_IDLE, SAME, SAME, SAME, 19},
        {"idle I/O", io_idle, SAME, IO_IDLE, SAME, SAME, SAME},
        {"an I/O priority", io_last_but_one, SAME, IO_BEST_EFFORT_6, SAME, SAME, SAME},
        {"oom_score_adj", be_killed_first, SAME, SAME, 1000, SAME, SAME},
        {"coredump_filter", dump_all, SAME, SAME, SAME, 0x1ff, SAME},
    };
    struct limits own;

    (void)state;
    assert_int_equal(limits_of(getpid(), &own), 0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct limits limits;
        pid_t pid = caller_start(cases[i].set_up);
        int r = limits_of(pid, &limits);

        caller_end(pid);
        caller_limits_compare(&limits, &own);
        if (r != 0 || limits.policy != if_differs(cases[i].policy, own.policy) ||
            limits.io_priority != if_differs(cases[i].io_priority, own.io_priority) ||
            limits.oom_score_adj != if_differs(cases[i].oom_score_adj, own.oom_score_adj) ||
            limits.coredump_filter != if_differs(cases[i].coredump_filter, own.coredump_filter) ||
            limits.nice != (cases[i].nice == SAME ? own.nice : cases[i].nice))
            fail_msg("%s: %d, policy %x, I/O %x, oom %d, core %x, nice %d", cases[i].what, r,
                     limits.policy, limits.io_priority, limits.oom_score_adj,
                     limits.coredump_filter, limits.nice);
    }
}

/* A service that its administrator made SCHED_BATCH has callers that are not. */
static void a_caller_with_the_defaults_is_told_apart_from_a_service_without(void **state) {
    static const struct limits defaults = {.policy = SCHED_OTHER, .coredump_filter = 0x33};
    static const struct limits own = {.policy = SCHED_BATCH,
                                      .io_priority = IO_IDLE,
                                      .oom_score_adj = 500,
                                      .coredump_filter = 0x1ff};
    static const struct limits real_time = {.policy = SCHED_FIFO, .priority = 2};
    static const struct limits more = {.policy = SCHED_FIFO, .priority = 1};
    struct limits limits = defaults;

    (void)state;
    caller_limits_compare(&limits, &own);
    assert_memory_equal(&limits, &defaults, sizeof(limits));
    limits = real_time;
    caller_limits_compare(&limits, &more);
    assert_int_equal(limits.policy, SCHED_FIFO);
    assert_int_equal(limits.priority, 2);
}

/* Above what 32 bits can express; RLIMIT_DATA is the one that people set so high. */
static const struct rlimit large_limits[] = {
    {UINT32_MAX, RLIM_INFINITY},
    {(rlim_t)1 << 32, (rlim_t)5 << 32},
    {((rlim_t)1 << 33) + 4096, ((rlim_t)1 << 33) + 4096},
};
static const struct rlimit *large_limit;

static void limit_data(void) {
    if (setrlimit(RLIMIT_DATA, large_limit) < 0)
        _exit(1);
}

/* A 32-bit kernel, as armhf's, makes them unlimited. */
static rlim_t kept_by_kernel(rlim_t limit) {
    struct rlimit before, is, large = {(rlim_t)1 << 32, 0};

    assert_int_equal(getrlimit(RLIMIT_CORE, &before), 0);
    large.rlim_max = before.rlim_max;
    if (before.rlim_max < large.rlim_cur)
        skip();
    assert_int_equal(setrlimit(RLIMIT_CORE, &large), 0);
    assert_int_equal(getrlimit(RLIMIT_CORE, &is), 0);
    assert_int_equal(setrlimit(RLIMIT_CORE, &before), 0);
    return is.rlim_cur != large.rlim_cur && limit >= UINT32_MAX ? RLIM_INFINITY : limit;
}

static void limits_of_4_gib_and_more_are_read_as_they_are(void **state) {
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(large_limits); i++) {
        struct limits limits;
        pid_t pid;
        int r;

        large_limit = &large_limits[i];
        pid = caller_start(limit_data);
        r = limits_of(pid, &limits);
        caller_end(pid);
        if (r != 0 || limits.all[RLIMIT_DATA].rlim_cur != kept_by_kernel(large_limit->rlim_cur) ||
            limits.all[RLIMIT_DATA].rlim_max != kept_by_kernel(large_limit->rlim_max))
            fail_msg("case %zu: %d, %ju", i, r, (uintmax_t)limits.all[RLIMIT_DATA].rlim_cur);
    }
}

static void a_caller_that_has_ended_is_an_error(void **state) {
    struct limits limits;
    pid_t pid = caller_start(nothing);

    (void)state;
    caller_end(pid);
    assert_int_equal(limits_of(pid, &limits), -ESRCH);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(only_what_differs_is_to_be_set),
    cmocka_unit_test(a_caller_with_the_defaults_is_told_apart_from_a_service_without),
    cmocka_unit_test(limits_of_4_gib_and_more_are_read_as_they_are),
    cmocka_unit_test(a_caller_that_has_ended_is_an_error),
};

int main(void) {
    return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
