#include "broker/session/filter.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "broker/privilege.h"
#include "broker/session/error-text.h"
#include "tests/test.h"
#include "utsbroker/compat.h"

/* Makes one call behind the filter, in a child; returns the child's wait status. */
static int status_behind_filter(long number, long a, long b, long c) {
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        if (privilege_forbid_new() != 0 || session_filter_load() != 0)
            _exit(100);
        (void)syscall(number, a, b, c, 0, 0, 0);
        /* Not _exit(2): a sanitizer's runtime makes calls of its own before it. */
        for (;;)
            (void)syscall(SYS_exit_group, 7);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void the_calls_that_a_session_needs_are_permitted(void **state) {
    static struct timespec now;
    const struct {
        const char *what;
        long number, a, b, c;
    } cases[] = {
        {"recvmsg", SYS_recvmsg, -1, 0, 0},
        {"sendmsg", SYS_sendmsg, -1, 0, 0},
        {"close", SYS_close, -1, 0, 0},
        {"clock_gettime", SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0},
        {"prctl(PR_GET_SECCOMP)", SYS_prctl, PR_GET_SECCOMP, 0, 0},
        {"exit_group", SYS_exit_group, 7, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (status_behind_filter(cases[i].number, cases[i].a, cases[i].b, cases[i].c) != 7 << 8)
            fail_msg("%s is not permitted", cases[i].what);
}

static void other_calls_end_the_process(void **state) {
    static const struct {
        const char *what;
        long number, a;
    } cases[] = {
        {"read", SYS_read, -1},
        {"write", SYS_write, -1},
        {"openat", SYS_openat, -1},
#ifdef SYS_mmap
        {"mmap", SYS_mmap, 0},
#endif
#ifdef SYS_mmap2
        {"mmap2", SYS_mmap2, 0},
#endif
        {"mprotect", SYS_mprotect, 0},
        {"brk", SYS_brk, 0},
        {"socket", SYS_socket, -1},
        {"connect", SYS_connect, -1},
        {"clone3", SYS_clone3, 0},
        {"execve", SYS_execve, 0},
        {"kill", SYS_kill, 0},
        {"ptrace", SYS_ptrace, -1},
        {"sethostname", SYS_sethostname, 0},
        {"setdomainname", SYS_setdomainname, 0},
        {"capset", SYS_capset, 0},
        {"setns", SYS_setns, -1},
        {"unshare", SYS_unshare, 0},
        {"getpid", SYS_getpid, 0},
        {"ioctl", SYS_ioctl, -1},
        {"dup", SYS_dup, -1},
        {"pidfd_getfd", SYS_pidfd_getfd, -1},
        {"prctl(PR_SET_DUMPABLE)", SYS_prctl, PR_SET_DUMPABLE},
        {"prctl(PR_SET_SECCOMP)", SYS_prctl, PR_SET_SECCOMP},
        {"seccomp", SYS_seccomp, -1},
#ifdef __x86_64__
        {"close of the x32 table", 0x40000000 + SYS_close, -1},
#endif
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        int status = status_behind_filter(cases[i].number, cases[i].a, 0, 0);

        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("%s: wait status 0x%x", cases[i].what, status);
    }
}

static bool is_on_the_list(long number) {
    static const long list[] = {SYS_recvmsg,
                                SYS_sendmsg,
                                SYS_close,
                                SYS_exit_group,
                                SYS_clock_gettime,
#ifdef SYS_clock_gettime64
                                SYS_clock_gettime64,
#endif
                                SYS_prctl};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(list); i++)
        if (list[i] == number)
            return true;
    return false;
}

/*
 * The kernel returns from a probe by these calls, and checks no filter for them. Called from
 * elsewhere they do nothing (secure_computing(), Linux 6.14 and 6.18).
 */
static bool is_exempt_from_filters(long number) {
#ifdef __x86_64__
    return number == 335 || number == 336; /* uretprobe, uprobe */
#else
    (void)number;
    return false;
#endif
}

/* Each number that this architecture has or may get later; prctl(2) with its permitted argument. */
static void of_all_calls_only_the_list_is_permitted(void **state) {
    static struct timespec now;
    const long bases[] = {
        0,
#ifdef __x86_64__
        0x40000000, /* the x32 table */
#endif
    };
    unsigned n_tried = 0, n_survived = 0;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(bases); i++) {
        for (long number = 0; number < 600; number++) {
            bool is_clock = number == SYS_clock_gettime, is_prctl = number == SYS_prctl;
            int status = status_behind_filter(bases[i] + number,
                                              is_prctl   ? PR_GET_SECCOMP
                                              : is_clock ? CLOCK_MONOTONIC
                                                         : -1,
                                              is_clock ? (long)&now : 0, 0);
            bool survives = WIFEXITED(status);

            if (is_exempt_from_filters(bases[i] + number))
                continue;
            n_tried++;
            n_survived += survives;
            if (survives != (bases[i] == 0 && is_on_the_list(number)) ||
                (!survives && (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)))
                fail_msg("call %ld: wait status 0x%x", bases[i] + number, status);
        }
    }
    print_message("tried: %u system calls behind the filter, %u survived\n", n_tried, n_survived);
}

/* no_new_privs comes first: without it an unprivileged process may load no filter. */
static void a_failure_to_load_is_reported(void **state) {
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        if (geteuid() == 0 && setresuid(12345, 12345, 12345) < 0)
            _exit(100);
        _exit(session_filter_load() == -EACCES ? 7 : 101);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 7 << 8);
}

/* The filter permits no system call that error_text() could make to find a translation. */
static void the_text_of_each_errno_is_available_behind_the_filter(void **state) {
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        if (privilege_forbid_new() != 0 || session_filter_load() != 0)
            _exit(100);
        for (int error = -1; error < 600; error++)
            if (error_text(error) == NULL || error_text(error)[0] == '\0')
                for (;;)
                    (void)syscall(SYS_exit_group, 8);
        for (;;)
            (void)syscall(SYS_exit_group, 7);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 7 << 8);
    assert_string_equal(error_text(EACCES), "Permission denied");
    assert_string_equal(error_text(ENOENT), "No such file or directory");
    assert_string_equal(error_text(-1), error_text(599));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_calls_that_a_session_needs_are_permitted),
    cmocka_unit_test(other_calls_end_the_process),
    cmocka_unit_test(of_all_calls_only_the_list_is_permitted),
    cmocka_unit_test(a_failure_to_load_is_reported),
    cmocka_unit_test(the_text_of_each_errno_is_available_behind_the_filter),
};

TEST_MAIN(tests)
