/* A process that is nobody's child here: signals to it, and how it ended. */

#include "launcher/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/test.h"
#include "tests/wrap.h"

/* In place of the system calls (ld's --wrap): an older kernel, or an unlucky moment. */
static int n_ioctls_failing, ioctl_error;
static int group_error; /* of a signal to a group; 0: the kernel does it */

int __real_ioctl(int fd, unsigned long request, ...) REAL_OF_IOCTL;
int __wrap_ioctl(int fd, unsigned long request, void *argument) WRAP_OF_IOCTL;
long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

int __wrap_ioctl(int fd, unsigned long request, void *argument) {
    if (n_ioctls_failing > 0) {
        n_ioctls_failing--;
        errno = ioctl_error;
        return -1;
    }
    return __real_ioctl(fd, request, argument);
}

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f) {
    if (number == SYS_pidfd_send_signal && d != 0 && group_error != 0) {
        errno = group_error;
        return -1;
    }
    return __real_syscall(number, a, b, c, d, e, f);
}

static int pidfd_open_of(pid_t pid) {
    int pidfd = (int)__real_syscall(SYS_pidfd_open, pid, 0);

    assert_true(pidfd >= 0);
    return pidfd;
}

/* Not the project's lack, but this kernel's; in CI it is one. */
static void skip_for_kernel(const char *what) {
    if (test_is_in_ci())
        fail_msg("%s", what);
    print_message("skipped: %s\n", what);
    skip();
}

static void pause_ms(long ms) {
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/*
 * A process that is as @prepare leaves it, then waits; it says so first. Where it leads a group, it
 * has one more process in it, a child of its own.
 */
struct process {
    pid_t pid;
    int pidfd;
    int alive; /* readable, at its end, when all of the group have ended */
};

static bool is_ended(const struct process *process, int wait_ms) {
    struct pollfd end = {.fd = process->alive, .events = POLLIN};

    return poll(&end, 1, wait_ms) == 1;
}

static void process_start(struct process *process, void (*prepare)(void), bool leads_group) {
    int ends[2];
    char byte;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    process->pid = fork();
    if (process->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (leads_group && (setpgid(0, 0) < 0 || fork() < 0))
            _exit(1);
        (void)alarm(5); /* each for itself: neither is left behind by a test that fails */
        if (prepare != NULL)
            prepare();
        if ((!leads_group || getpgrp() == getpid()) && write(ends[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    assert_true(process->pid > 0);
    close(ends[1]);
    process->alive = ends[0];
    process->pidfd = pidfd_open_of(process->pid);
    assert_int_equal(read(ends[0], &byte, 1), 1);
}

static int process_end(struct process *process) {
    int status;

    assert_int_equal(waitpid(process->pid, &status, 0), process->pid);
    close(process->pidfd);
    close(process->alive);
    return status;
}

static void a_signal_goes_to_the_process_alone(void **state) {
    static const int signals[] = {SIGTERM, SIGKILL, SIGINT, SIGHUP, SIGUSR1, 40};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(signals); i++) {
        struct process process;
        int status;

        process_start(&process, NULL, true);
        assert_int_equal(pidfd_signal(process.pidfd, signals[i]), 0);
        assert_int_equal(waitid(P_PID, (id_t)process.pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
        assert_false(is_ended(&process, 20)); /* the other one of its group */
        assert_int_equal(kill(-process.pid, SIGKILL), 0);
        assert_true(is_ended(&process, 5000));
        status = process_end(&process);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i]);
    }
}

static void a_signal_goes_to_the_whole_group(void **state) {
    struct process process;
    int status, r;

    (void)state;
    process_start(&process, NULL, true);
    r = (int)__real_syscall(SYS_pidfd_send_signal, process.pidfd, 0, NULL, 1 << 2);
    if (r < 0) {
        assert_int_equal(kill(-process.pid, SIGKILL), 0);
        (void)process_end(&process);
        skip_for_kernel("a signal to a group by a pidfd needs Linux 6.9");
    }
    assert_int_equal(pidfd_signal_group(process.pidfd, SIGTERM), 0);
    assert_true(is_ended(&process, 5000));
    status = process_end(&process);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

/* It has the number of no group, and another group's may be next. */
static void where_the_kernel_knows_no_group_the_process_has_the_signal(void **state) {
    struct process process;
    int status;

    (void)state;
    process_start(&process, NULL, true);
    group_error = EPERM; /* not a want of the kernel's */
    assert_int_equal(pidfd_signal_group(process.pidfd, SIGTERM), -EPERM);
    group_error = EINVAL;
    assert_int_equal(pidfd_signal_group(process.pidfd, SIGUSR1), 0);
    group_error = 0;
    assert_int_equal(waitid(P_PID, (id_t)process.pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
    assert_false(is_ended(&process, 20));
    assert_int_equal(kill(-process.pid, SIGKILL), 0);
    status = process_end(&process);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGUSR1);
}

static void what_cannot_be_signalled_is_an_error(void **state) {
    struct process process;

    (void)state;
    process_start(&process, NULL, false);
    assert_int_equal(pidfd_signal(process.pidfd, 65), -EINVAL);
    assert_int_equal(pidfd_signal(-1, SIGTERM), -EBADF);
    assert_int_equal(pidfd_signal_group(-1, SIGTERM), -EBADF);
    assert_int_equal(pidfd_signal(process.alive, SIGTERM), -EBADF);
    assert_int_equal(pidfd_signal(process.pidfd, SIGKILL), 0);
    assert_int_equal(waitpid(process.pid, NULL, 0), process.pid);
    assert_int_equal(pidfd_signal(process.pidfd, SIGTERM), -ESRCH);
    assert_int_equal(pidfd_signal_group(process.pidfd, SIGTERM), -ESRCH);
    group_error = EINVAL;
    assert_int_equal(pidfd_signal_group(process.pidfd, SIGTERM), -ESRCH);
    group_error = 0;
    close(process.pidfd);
    close(process.alive);
}

/* Ends by @signal_number, or if that is 0 by @code. */
static pid_t child_end_by(int signal_number, int code) {
    pid_t pid = fork();

    if (pid == 0) {
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        (void)signal(signal_number, SIG_DFL);
        if (signal_number != 0)
            (void)raise(signal_number);
        _exit(code);
    }
    assert_true(pid > 0);
    return pid;
}

/* True if the kernel says by a pidfd how a process ended; it does not before Linux 6.15. */
static bool kernel_tells_ends(void) {
    pid_t pid = child_end_by(0, 0);
    int pidfd = pidfd_open_of(pid), status, r;

    assert_int_equal(waitpid(pid, NULL, 0), pid);
    r = pidfd_wait_status(pidfd, &status);
    close(pidfd);
    assert_true(r == 0 || r == -ENOTTY || r == -EINVAL);
    return r == 0;
}

static void skip_unless_kernel_tells_ends(void) {
    if (!kernel_tells_ends())
        skip_for_kernel("to ask a pidfd how its process ended needs Linux 6.15");
}

static void an_older_kernel_is_told_from_an_end(void **state) {
    static const int errors[] = {ENOTTY, EINVAL, EBADF};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(errors); i++) {
        int status = 4711;

        n_ioctls_failing = 1;
        ioctl_error = errors[i];
        assert_int_equal(pidfd_wait_status(0, &status), -errors[i]);
        assert_int_equal(status, 4711);
        assert_int_equal(n_ioctls_failing, 0);
    }
}

static void how_it_ended_is_what_wait_says(void **state) {
    static const struct {
        int signal_number, code;
    } cases[] = {{0, 0},       {0, 1},       {0, 7},       {0, 125},    {0, 255},
                 {SIGTERM, 0}, {SIGKILL, 0}, {SIGSEGV, 0}, {SIGHUP, 0}, {64, 0}};

    (void)state;
    skip_unless_kernel_tells_ends();
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        pid_t pid = child_end_by(cases[i].signal_number, cases[i].code);
        int pidfd = pidfd_open_of(pid);
        int expected, status = -1;

        assert_int_equal(waitpid(pid, &expected, 0), pid);
        assert_int_equal(pidfd_wait_status(pidfd, &status), 0);
        assert_int_equal(status, expected);
        close(pidfd);
    }
}

/* A process of somebody else's, which has ended; that one reaps it after a while, or never. */
static int strangers_child(int signal_number, int reaped_after_ms, pid_t *strangerp) {
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    *strangerp = fork();
    if (*strangerp == 0) {
        (void)alarm(5);
        pid = child_end_by(signal_number, 0);
        if (waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT) < 0 ||
            write(ends[1], &pid, sizeof(pid)) != sizeof(pid))
            _exit(1);
        if (reaped_after_ms >= 0) {
            pause_ms(reaped_after_ms);
            (void)waitpid(pid, NULL, 0);
        }
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(ends[0], &pid, sizeof(pid)), sizeof(pid));
    close(ends[0]);
    close(ends[1]);
    return pidfd_open_of(pid);
}

static void stranger_end(pid_t stranger) {
    assert_int_equal(kill(stranger, SIGKILL), 0);
    assert_int_equal(waitpid(stranger, NULL, 0), stranger);
}

static void it_is_known_when_somebody_reaps_it(void **state) {
    pid_t stranger;
    int pidfd, status = -1;

    (void)state;
    skip_unless_kernel_tells_ends();
    pidfd = strangers_child(SIGTERM, 100, &stranger);
    assert_int_equal(pidfd_wait_status(pidfd, &status), 0);
    assert_int_equal(status, SIGTERM);
    close(pidfd);
    stranger_end(stranger);
}

/* As when the command has ended, the service is gone, and whoever has it now reaps nobody. */
static void what_nobody_reaps_is_not_waited_for_for_ever(void **state) {
    pid_t stranger;
    int pidfd, status = 4711;

    (void)state;
    skip_unless_kernel_tells_ends();
    pidfd = strangers_child(SIGTERM, -1, &stranger);
    assert_int_equal(pidfd_wait_status(pidfd, &status), -ETIME);
    assert_int_equal(status, 4711);
    close(pidfd);
    stranger_end(stranger);
}

/* The kernel looks for an end first, then for the process: in between, somebody may have reaped it.
 */
static void to_be_between_an_end_and_its_reaping_is_not_an_end(void **state) {
    pid_t pid;
    int pidfd, expected, status = -1;

    (void)state;
    skip_unless_kernel_tells_ends();
    pid = child_end_by(SIGTERM, 0);
    pidfd = pidfd_open_of(pid);
    assert_int_equal(waitpid(pid, &expected, 0), pid);
    n_ioctls_failing = 3;
    ioctl_error = ESRCH;
    assert_int_equal(pidfd_wait_status(pidfd, &status), 0);
    assert_int_equal(status, expected);
    assert_int_equal(n_ioctls_failing, 0);
    close(pidfd);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_signal_goes_to_the_process_alone),
    cmocka_unit_test(a_signal_goes_to_the_whole_group),
    cmocka_unit_test(where_the_kernel_knows_no_group_the_process_has_the_signal),
    cmocka_unit_test(what_cannot_be_signalled_is_an_error),
    cmocka_unit_test(an_older_kernel_is_told_from_an_end),
    cmocka_unit_test(how_it_ended_is_what_wait_says),
    cmocka_unit_test(it_is_known_when_somebody_reaps_it),
    cmocka_unit_test(what_nobody_reaps_is_not_waited_for_for_ever),
    cmocka_unit_test(to_be_between_an_end_and_its_reaping_is_not_an_end),
};

TEST_MAIN(tests)
