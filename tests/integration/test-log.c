/* The log, as a log daemon gets it: this test listens on /dev/log, in its own mount namespace. */

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>

#include "tests/integration/harness.h"

static int daemon_fd = -1;

static int listen_at_dev_log(void) {
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

    daemon_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)unlink("/dev/log");
    if (bind(daemon_fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -1;
    return chmod("/dev/log", 0666);
}

static bool is_quiet(void *context) {
    (void)context;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return harness_count_processes(USER_WITHOUT_NAME->uid) <=
           (harness_is_service() ? SERVICE_PROCESSES : 0);
}

/* Late records of an earlier test must not reach the next one. */
static int forget_records(void **state) {
    char record[4096];

    (void)state;
    assert_true(harness_wait_for(is_quiet, NULL));
    while (recv(daemon_fd, record, sizeof(record), MSG_DONTWAIT) >= 0)
        ;
    return 0;
}

static int set_up(void **state) {
    return harness_mount_dev() == 0 && listen_at_dev_log() == 0 ? harness_set_up(state) : -1;
}

/* The next record, or "" if there is none. */
static const char *next_record(void) {
    static char record[4096];
    ssize_t n = recv(daemon_fd, record, sizeof(record) - 1, MSG_DONTWAIT);

    record[n > 0 ? n : 0] = '\0';
    return record;
}

/* Splits "<priority>utsbroker[pid]: text" and returns the text. */
static const char *record_text(const char *record, int *priorityp) {
    const char *text = strstr(record, ": ");
    int pid;

    if (sscanf(record, "<%d>utsbroker[%d]: ", priorityp, &pid) != 2 || text == NULL)
        fail_msg("not a syslog record: '%s'", record);
    return text + 2;
}

/* The lines of the two modes differ in one word. */
static void replace_mode(char *text, size_t size) {
    char *mode = strstr(text, "mode=direct"), behind[2048];

    assert_non_null(mode);
    snprintf(behind, sizeof(behind), "%s", mode + strlen("mode=direct"));
    snprintf(mode, size - (size_t)(mode - text), "mode=%s%s", harness_mode(), behind);
}

static void each_grant_and_each_refusal_is_one_line(void **state) {
    static const struct {
        const char *policy;
        const struct user *user;
        char *argv[8];
        int priority;
        const char *text; /* the %d is the command's pid */
        const char *policy_error;
    } cases[] = {
        {"",
         USER_WITHOUT_NAME,
         {"-n", "x.test", "sh", "-c", "echo $$", NULL},
         LOG_NOTICE,
         "grant user=- uid=54321 hostname=\"x.test\" domainname=- rule=\"" POLICY_FOLDER_VENDOR
         "/50-default.conf:15\" pid=%d mode=direct command=\"sh\" reason=-",
         NULL},
        {"permit user nobody hostname lab domainname lab",
         USER_NOBODY,
         {"-n", "lab", "-d", "Lab", "sh", "-c", "echo $$", NULL},
         LOG_NOTICE,
         "grant user=\"nobody\" uid=65534 hostname=\"lab\" domainname=\"Lab\" "
         "rule=\"" POLICY_FOLDER_ADMIN
         "/10-test.conf:1\" pid=%d mode=direct command=\"sh\" reason=-",
         NULL},
        {"",
         USER_WITHOUT_NAME,
         {"-n", "evil", "true", NULL},
         LOG_WARNING,
         "refusal user=- uid=54321 hostname=\"evil\" domainname=- rule=- pid=- mode=direct "
         "command=\"true\" reason=\"no rule permits it\"",
         NULL},
        {"\ndeny any hostname x.test",
         USER_WITHOUT_NAME,
         {"-n", "x.test", "true", NULL},
         LOG_WARNING,
         "refusal user=- uid=54321 hostname=\"x.test\" domainname=- "
         "rule=\"" POLICY_FOLDER_ADMIN "/10-test.conf:2\" pid=- mode=direct "
         "command=\"true\" reason=\"a rule denies it\"",
         NULL},
        {"",
         USER_WITHOUT_NAME,
         {"-n", "x\ngrant user=\"root\"", "true", NULL},
         LOG_WARNING,
         "refusal user=- uid=54321 hostname=\"x\\x0agrant user=\\x22root\\x22\" domainname=- "
         "rule=- pid=- mode=direct command=\"true\" reason=\"not a valid host name (RFC 1123)\"",
         NULL},
        {"permit any hostname *\npermitt any",
         USER_WITHOUT_NAME,
         {"-n", "x.test", "true", NULL},
         LOG_WARNING,
         "refusal user=- uid=54321 hostname=\"x.test\" domainname=- rule=- pid=- mode=direct "
         "command=\"true\" reason=\"%s\"",
         POLICY_FOLDER_ADMIN "/10-test.conf:2:1: a rule begins with permit or deny, not 'permitt'"},
        {"permit any hostname [\nx\ny",
         USER_WITHOUT_NAME,
         {"-n", "x.test", "true", NULL},
         LOG_WARNING,
         "refusal user=- uid=54321 hostname=\"x.test\" domainname=- rule=- pid=- mode=direct "
         "command=\"true\" reason=\"%s\"",
         POLICY_FOLDER_ADMIN "/10-test.conf:1:21: [ without ] (and 2 more errors)"},
        {"deny group nosuchgroup hostname x*",
         USER_WITHOUT_NAME,
         {"-n", "x.test", "true", NULL},
         LOG_WARNING,
         "refusal user=- uid=54321 hostname=\"x.test\" domainname=- "
         "rule=\"" POLICY_FOLDER_ADMIN "/10-test.conf:1\" pid=- mode=direct "
         "command=\"true\" reason=\"a rule denies it to all users: its user or group is unknown\"",
         NULL},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        struct run run = {.user = cases[i].user, .argv = {UTSRUN_PATH}};
        char expected[2048];
        int priority;

        for (size_t j = 0; j < BASE_ARRAY_SIZE(cases[i].argv); j++)
            run.argv[j + 1] = cases[i].argv[j];
        policy_write("10-test.conf", cases[i].policy);
        harness_run(&run, &result);
        if (cases[i].policy_error != NULL)
            snprintf(expected, sizeof(expected), cases[i].text, cases[i].policy_error);
        else
            snprintf(expected, sizeof(expected), cases[i].text, atoi(result.output));
        replace_mode(expected, sizeof(expected));
        assert_string_equal(record_text(next_record(), &priority), expected);
        assert_int_equal(priority, LOG_AUTHPRIV | cases[i].priority);
        assert_string_equal(next_record(), "");
    }
    policy_clear();
}

/* setuid needs direct mode, limit a ledger, which is not here. */
static void a_rule_that_cannot_be_kept_is_a_refusal(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "true"}};
    const char *reason =
        harness_is_service()
            ? "reason=\"the rule says setuid, and the service has no_new_privs set\""
            : "reason=\"the rule has a limit, and this machine has no ledger to count\"";
    const char *text;
    int priority;

    (void)state;
    policy_write("10-test.conf", harness_is_service() ? "permit any hostname * setuid"
                                                      : "permit any hostname * limit 2");
    harness_run(&run, &result);
    text = record_text(next_record(), &priority);
    assert_memory_equal(text, "refusal ", 8);
    assert_non_null(strstr(text, "/10-test.conf:1\" pid=- mode="));
    assert_non_null(strstr(text, reason));
    policy_clear();
}

static void be_confined(void *context) {
    struct sock_filter allow = {.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW};
    const struct sock_fprog program = {.len = 1, .filter = &allow};

    (void)context;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

/* The caller is refused before the request is read, but the log has the names all the same. */
static void a_confined_caller_is_a_refusal_with_its_names(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "true"},
                            .set_up = be_confined};
    int priority;

    (void)state;
    harness_run(&run, &result);
    assert_string_equal(record_text(next_record(), &priority),
                        "refusal user=- uid=54321 hostname=\"x.test\" domainname=- rule=- pid=- "
                        "mode=service command=\"true\" reason=\"the caller has a seccomp filter\"");
}

static void a_command_that_cannot_be_executed_is_a_grant_and_a_failure(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "/no/such/file"}};
    const char *text;
    int priority;

    (void)state;
    harness_run(&run, &result);
    harness_assert_exit(&result, 127);
    assert_memory_equal(record_text(next_record(), &priority), "grant ", 6);
    text = record_text(next_record(), &priority);
    assert_memory_equal(text, "failure ", 8);
    assert_non_null(
        strstr(text, "reason=\"cannot execute the command: No such file or directory\""));
    assert_string_equal(next_record(), "");
}

static void without_a_log_daemon_commands_still_run(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "true"}};

    (void)state;
    /* First a socket without a listener, then no socket. */
    close(daemon_fd);
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    assert_int_equal(unlink("/dev/log"), 0);
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    assert_string_equal(result.errors, "");
    assert_int_equal(listen_at_dev_log(), 0);
}

static void flood_the_log(int *floodp) {
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

    *floodp = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    while (sendto(*floodp, "x", 1, 0, (const struct sockaddr *)&address, sizeof(address)) == 1)
        ;
}

/* Any user can flood a log, so a grant that the log does not take is refused. */
static void a_grant_that_is_not_logged_is_refused(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "echo", "granted"}};
    int flood;

    (void)state;
    flood_the_log(&flood);
    harness_run(&run, &result);
    harness_assert_exit(&result, 125);
    assert_string_equal(result.output, "");
    assert_non_null(strstr(result.errors, "the broker grants nothing that is not logged"));
    close(flood);
    while (next_record()[0] != '\0')
        ;
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    while (next_record()[0] != '\0')
        ;
}

static pid_t first_child_of(pid_t pid) {
    char path[64];
    int child = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    for (int i = 0; i < 20000 && child == 0; i++) {
        FILE *children = fopen(path, "re");

        if (children != NULL) {
            (void)!fscanf(children, "%d", &child);
            fclose(children);
        }
    }
    return child;
}

/*
 * As the user: takes all descriptors away from a starting broker, by prlimit(2), at a random
 * moment. Prints the result; ends with 0 if the log has every grant.
 */
static _Noreturn void take_descriptors_away(void) {
    unsigned seed = 31, n_granted = 0, n_logged = 0;
    unsigned n = (unsigned)harness_repeats(1500);

    harness_become(USER_WITHOUT_NAME);
    for (unsigned i = 0; i < n; i++) {
        const struct run run = {.argv = {UTSRUN_PATH, "-n", "x.test", "true"}};
        const struct rlimit none = {0, 1024};
        const struct timespec pause = {.tv_nsec = rand_r(&seed) % 1200000};
        int output, errors, status = 1;
        pid_t pid = harness_start(&run, &output, &errors);
        pid_t broker =
            first_child_of(harness_is_service() ? harness_service_of(USER_WITHOUT_NAME)->pid : pid);
        struct rlimit before;

        nanosleep(&pause, NULL);
        if (broker != 0 && prlimit(broker, RLIMIT_NOFILE, NULL, &before) == 0 &&
            prlimit(broker, RLIMIT_NOFILE, &none, NULL) == 0)
            (void)prlimit(broker, RLIMIT_NOFILE, &before, NULL);
        (void)waitpid(pid, &status, 0);
        n_granted += status == 0;
        for (const char *record = next_record(); record[0] != '\0'; record = next_record())
            n_logged += strstr(record, ": grant ") != NULL;
        close(output);
        close(errors);
    }
    printf("of %u, with their descriptors taken away, %u were granted, %u logged\n", n, n_granted,
           n_logged);
    fflush(stdout);
    _exit(n_granted <= n_logged && n_granted > 0 && n_granted < n ? 0 : 1);
}

static void a_limit_at_any_moment_keeps_no_grant_out_of_the_log(void **state) {
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0)
        take_descriptors_away();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(each_grant_and_each_refusal_is_one_line, forget_records),
    cmocka_unit_test_setup(a_command_that_cannot_be_executed_is_a_grant_and_a_failure,
                           forget_records),
    cmocka_unit_test_setup(without_a_log_daemon_commands_still_run, forget_records),
    cmocka_unit_test_setup(a_grant_that_is_not_logged_is_refused, forget_records),
    cmocka_unit_test_setup(a_limit_at_any_moment_keeps_no_grant_out_of_the_log, forget_records),
    cmocka_unit_test_setup(a_rule_that_cannot_be_kept_is_a_refusal, forget_records),
};

static const struct CMUnitTest direct_tests[] = {HARNESS_NO_TEST};

static const struct CMUnitTest service_tests[] = {
    cmocka_unit_test_setup(a_confined_caller_is_a_refusal_with_its_names, forget_records),
};

HARNESS_MAIN_OF_BOTH(tests, direct_tests, service_tests, set_up, harness_tear_down)
