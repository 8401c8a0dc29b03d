/* Every sentence of utsrun, from a broker that misbehaves on purpose. */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/integration/harness.h"
#include "utsbroker/protocol.h"

static void run_fake(char *hostname, struct result *result) {
    const struct run run = {.argv = {UTSRUN_FAKE_PATH, "-n", hostname, "the-command", "arg"}};

    harness_run(&run, result);
}

static void every_refusal_is_one_line_with_what_why_and_what_now(void **state) {
    static const struct {
        enum protocol_status status;
        int error, code;
        const char *message; /* behind "utsrun: host name '...' " */
    } cases[] = {
        {PROTOCOL_DENIED, 0, 125,
         "denied: /etc/rules.conf:7 denies it; the default policy permits names under .test"},
        {PROTOCOL_BAD_REQUEST, 0, 125,
         "use different protocols; install both from the same version"},
        {PROTOCOL_BAD_VERSION, 0, 125,
         "use different protocols; install both from the same version"},
        {PROTOCOL_BAD_NAME, 0, 125,
         "refused: not a valid host name (RFC 1123: labels of letters, digits and inner hyphens, "
         "joined by dots, 64 bytes at most)"},
        {PROTOCOL_POLICY_INVALID, 0, 125,
         "is missing or has an error, so all requests are refused; ask your administrator"},
        {PROTOCOL_LIMIT_REACHED, 0, 125,
         "refused: limit reached: 3 of 3 commands are running under /etc/rules.conf:7; end one, "
         "see "
         "utsrun --ps"},
        {PROTOCOL_TOO_MANY, 0, 125,
         "refused: limit reached: you have 3 of 3 running commands; end one, see utsrun --ps"},
        {PROTOCOL_NEEDS_DIRECT, 0, 125,
         "/etc/rules.conf:7 has setuid, and the service cannot grant new privileges; use --via "
         "direct"},
        {PROTOCOL_NEEDS_LEDGER, 0, 125,
         "/etc/rules.conf:7 has a limit, and no ledger counts on this machine; the administrator "
         "can start one (utsbroker-ledger(8)), or leave the limit out"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_OTHER_USER, 125,
         "refused by the service: it serves another user; run utsrun with equal real and effective "
         "user ids"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_LACKS_GROUP, 125,
         "it has group 54329, which utsrun lacks here; log out of all sessions and in again, or "
         "use --via direct"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_NO_NEW_PRIVS, 125,
         "no_new_privs is set here (a sandbox, a container, or a command of direct mode), and the "
         "service would start the command outside of it; run utsrun outside of it, or in a "
         "command that was started with --via service"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_UNPROVED, 125,
         "no_new_privs is set here, and this process may not attach to another of yours, so"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_NO_TRACING, 125,
         "no_new_privs is set here, and kernel.yama.ptrace_scope is 2 or 3, so nobody can"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_FILTERED, 125,
         "a seccomp filter is set here (a sandbox or a container), and the service would start"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_OTHER_NAMESPACE | PROTOCOL_USER_NAMESPACE << 8, 125,
         "utsrun is in another user namespace than the service, which would start the command "
         "outside of it; run utsrun outside of it"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_OTHER_NAMESPACE | PROTOCOL_MOUNT_NAMESPACE << 8, 125,
         "utsrun is in another mount namespace than the service, which would start the command "
         "outside of it; use --via direct"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_OTHER_NAMESPACE | PROTOCOL_PID_NAMESPACE << 8, 125,
         "utsrun is in another pid namespace than the service"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_OTHER_NAMESPACE | PROTOCOL_NETWORK_NAMESPACE << 8, 125,
         "utsrun is in another network namespace than the service"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_OTHER_NAMESPACE | PROTOCOL_IPC_NAMESPACE << 8, 125,
         "utsrun is in another ipc namespace than the service"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_OTHER_NAMESPACE | PROTOCOL_TIME_NAMESPACE << 8, 125,
         "utsrun is in another time namespace than the service"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_OTHER_NAMESPACE | PROTOCOL_CGROUP_NAMESPACE << 8, 125,
         "utsrun is in another cgroup namespace than the service"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_OTHER_ROOT, 125,
         "utsrun has another root directory than the service"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_GONE, 125,
         "the caller ended before the service had checked it; try again"},
        {PROTOCOL_CALLER_CONFINED, PROTOCOL_UNREADABLE, 125,
         "it cannot read utsrun's files in /proc (another primary group than at login, by "
         "newgrp?); use "
         "--via direct"},
        {PROTOCOL_KERNEL_REFUSED, ETOOMANYREFS, 125,
         "too many descriptors are sent and not yet received"},
        {PROTOCOL_NO_CAPABILITY, EPERM, 125,
         "has no file capability; install utsbroker-direct, or if this was built from source, run: "
         "sudo setcap cap_sys_admin=p "},
        {PROTOCOL_KERNEL_REFUSED, ENOSYS, 125,
         "refused by the kernel: Function not implemented; Linux 5.3 or newer is needed"},
        {PROTOCOL_KERNEL_REFUSED, ENOSPC, 125,
         "refused by the kernel: No space left on device; too many UTS namespaces exist: end some "
         "commands, or raise user.max_uts_namespaces"},
        {PROTOCOL_KERNEL_REFUSED, EAGAIN, 125,
         "too many processes: end some, or raise the limit (ulimit -u, a cgroup's pids.max)"},
        {PROTOCOL_KERNEL_REFUSED, EMFILE, 125,
         "too many open files: close some, or raise the limit (ulimit -n)"},
        {PROTOCOL_KERNEL_REFUSED, ENOMEM, 125, "not enough memory: end some processes"},
        {PROTOCOL_KERNEL_REFUSED, EPERM, 125,
         "refused by the kernel: Operation not permitted; see the log of utsbroker"},
        {PROTOCOL_NOT_LOGGED, EAGAIN, 125, "the log does not take the line (Resource temporarily"},
        {PROTOCOL_TOO_LATE, 0, 125, "reached the broker too late; try again"},
        {PROTOCOL_EXEC_FAILED, ENOENT, 127,
         "'the-command' could not be executed: No such file or directory"},
        {PROTOCOL_EXEC_FAILED, EACCES, 126,
         "'the-command' could not be executed: Permission denied"},
        {PROTOCOL_EXEC_FAILED, E2BIG, 126,
         "'the-command' could not be executed: Argument list too long; use fewer arguments"},
        {PROTOCOL_EXEC_FAILED, EAGAIN, 126,
         "'the-command' could not be executed: Resource temporarily unavailable; too many "
         "processes: end some"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        char hostname[64];

        snprintf(hostname, sizeof(hostname), "status-%d-%d.test", cases[i].status, cases[i].error);
        run_fake(hostname, &result);
        harness_assert_exit(&result, cases[i].code);
        if (strstr(result.errors, cases[i].message) == NULL)
            fail_msg("expected '%s', got: %s", cases[i].message, result.errors);
        assert_ptr_equal(strchr(result.errors, '\n'), result.errors + strlen(result.errors) - 1);
    }
}

/* What else may be had, utspolicy knows; one that says nothing sensible in time changes nothing. */
static void who_is_denied_is_told_what_is_near(void **state) {
    static const char none[] = "denies it; the default policy permits names under .test, the "
                               "rules for all others are in " POLICY_FOLDER_ADMIN "\n";
    static const struct {
        char *hostname;
        const char *message;
    } cases[] = {
        {"groups-1-54329.yes",
         "'groups-1-54329.yes' refused by the service: a rule permits it to you, but the service "
         "lacks group 54329; log out of all sessions and in again, or use --via direct\n"},
        {"groups-3-0.yes", "the service lacks group root (0) and 2 more of your groups; log out"},
        {"groups-1-54329.no", none},
        {"status-1-0.near", "denies it; nearest names that rules permit: node[0-9]*, "
                            "lab-?? (all: utsrun -l)\n"},
        {"status-1-0.control", "nearest names that rules permit: ?[31mred (all: utsrun -l)\n"},
        {"status-1-0.none", none},
        {"status-1-0.noise", none},
        {"status-1-0.cut", none},
        {"status-1-0.long", none},
        {"status-1-0.killed", none},
        {"status-1-0.slow", none},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        const double begin = harness_now();

        run_fake(cases[i].hostname, &result);
        harness_assert_exit(&result, 125);
        if (strstr(result.errors, cases[i].message) == NULL)
            fail_msg("%s: %s", cases[i].hostname, result.errors);
        assert_ptr_equal(strchr(result.errors, '\n'), result.errors + strlen(result.errors) - 1);
        assert_true(harness_now() < begin + 4);
    }
}

static void a_broker_that_fails_is_told_as_such(void **state) {
    static const struct {
        char *hostname;
        int code;
        const char *message;
    } cases[] = {
        {"signal-31.test", 125,
         "the system call filter of the broker killed it; this is a bug"}, /* SIGSYS */
        {"signal-9.test", 125, "signal 9 (Killed) killed the broker before it replied"},
        {"signal-11.test", 125, "signal 11 (Segmentation fault) killed the broker"},
        {"exit-0.test", 125, "the broker ended with status 0 before it replied"},
        {"exit-125.test", 125, "the broker ended with status 125 before it replied"},
        {"version.test", 125, "use different protocols ("},
        {"short.test", 125, "the reply of the broker could not be received"},
        {"fds.test", 125, "the reply of the broker could not be received"},
        {"status-0-0.test", 125,
         "the reply of the broker could not be received"}, /* granted, but no pidfd */
        {"status-99-0.test", 125, "the reply of the broker could not be received"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;

        run_fake(cases[i].hostname, &result);
        harness_assert_exit(&result, cases[i].code);
        if (strstr(result.errors, cases[i].message) == NULL)
            fail_msg("%s: %s", cases[i].hostname, result.errors);
    }
}

/* On one processor a broker has often ended before utsrun goes on. */
static void ignore_children(void *context) {
    cpu_set_t one;

    (void)context;
    (void)signal(SIGCHLD, SIG_IGN);
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof(one), &one) == 0) {
        for (int i = 0, n = 0; i < CPU_SETSIZE; i++)
            if (CPU_ISSET(i, &one) && n++ > 0)
                CPU_CLR(i, &one);
        (void)sched_setaffinity(0, sizeof(one), &one);
    }
}

/* The kernel reaps the broker of a caller that ignores SIGCHLD, if it ends soon enough. */
static void a_broker_that_ends_unseen_is_told_as_such(void **state) {
    const struct run run = {.argv = {UTSRUN_FAKE_PATH, "-n", "a.test", "the-command"},
                            .set_up = ignore_children};

    (void)state;
    for (int i = 0; i < 100; i++) {
        static struct result result;

        harness_run(&run, &result);
        harness_assert_exit(&result, 125);
        if (strstr(result.errors, "the broker ended ") == NULL)
            fail_msg("%s", result.errors);
    }
}

/* Where a broker may have let its gate go, what may be that is killed; else it is somebody's own.
 */
static void only_what_may_be_a_gate_is_killed(void **state) {
    static const struct {
        enum protocol_status status;
        const char *output;
    } cases[] = {{PROTOCOL_DENIED, "lives\n"},
                 {PROTOCOL_EXEC_FAILED, "lives\n"},
                 {PROTOCOL_TOO_LATE, "lives\n"},
                 {PROTOCOL_KERNEL_REFUSED, ""}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        char hostname[32];

        snprintf(hostname, sizeof(hostname), "sibling-%d.test", cases[i].status);
        run_fake(hostname, &result);
        if (strcmp(result.output, cases[i].output) != 0)
            fail_msg("%s: '%s'; %s", hostname, result.output, result.errors);
        while (waitpid(-1, NULL, 0) > 0)
            ;
    }
}

/* Ctrl-C while the broker starts: as if the command had got it. */
static void a_broker_that_was_interrupted_is_no_error(void **state) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(signals); i++) {
        static struct result result;
        char hostname[32];

        snprintf(hostname, sizeof(hostname), "signal-%d.test", signals[i]);
        run_fake(hostname, &result);
        assert_true(WIFSIGNALED(result.status));
        assert_int_equal(WTERMSIG(result.status), signals[i]);
        assert_string_equal(result.errors, "");
    }
}

/* A broker that hangs, in a user database say, gets the signals after five seconds. */
static void a_broker_that_hangs_can_be_ended(void **state) {
    const struct run run = {.argv = {UTSRUN_FAKE_PATH, "-n", "hang.test", "x"}};
    const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    struct timespec begin, end;
    int output, errors, status;
    pid_t pid;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    pid = harness_start(&run, &output, &errors);
    nanosleep(&pause, NULL);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    assert_true(end.tv_sec - begin.tv_sec <= 7);
    close(output);
    close(errors);
}

static void help_and_version_are_said_on_standard_output(void **state) {
    static struct result result;
    struct run run = {.argv = {UTSRUN_FAKE_PATH, "--help"}};

    (void)state;
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    assert_memory_equal(result.output, "usage: utsrun ", 14);
    assert_non_null(strstr(result.output, "125 if utsrun failed"));
    assert_string_equal(result.errors, "");
    run.argv[1] = "-V";
    harness_run(&run, &result);
    assert_string_equal(result.output, "utsrun " UTSBROKER_VERSION "\n");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_refusal_is_one_line_with_what_why_and_what_now),
    cmocka_unit_test(who_is_denied_is_told_what_is_near),
    cmocka_unit_test(a_broker_that_fails_is_told_as_such),
    cmocka_unit_test(a_broker_that_ends_unseen_is_told_as_such),
    cmocka_unit_test(only_what_may_be_a_gate_is_killed),
    cmocka_unit_test(a_broker_that_was_interrupted_is_no_error),
    cmocka_unit_test(a_broker_that_hangs_can_be_ended),
    cmocka_unit_test(help_and_version_are_said_on_standard_output),
};

TEST_MAIN(tests)
