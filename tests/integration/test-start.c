/* How a service starts and ends: its socket, its privilege, its idle exit. */

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/integration/harness.h"

#define AS_SERVICE                                                                                 \
    "setpriv --reuid 54321 --regid 54322 --groups 54323,54324 --inh-caps=-all,+sys_admin "         \
    "--ambient-caps=-all,+sys_admin --no-new-privs "
#define FOLDER "/tmp/test-start"
#define SOCKET FOLDER "/socket"

static int set_up(void **state) {
    return system("rm -rf " FOLDER "; install -d -m 755 -o 54321 " FOLDER) == 0
               ? harness_set_up(state)
               : -1;
}

static int tear_down(void **state) {
    return harness_tear_down(state) == 0 && system("rm -rf " FOLDER) == 0 ? 0 : -1;
}

static void what_is_missing_to_start_is_told(void **state) {
    static const struct {
        char *script;
        int code;
        const char *message;
    } cases[] = {
        {"exec " BROKER_PATH " --listen", 125, "LISTEN_FDS), which has passed none"},
        {"LISTEN_FDS=1 LISTEN_PID=1 exec " BROKER_PATH " --listen", 125, "which has passed none"},
        {"LISTEN_FDS=1 LISTEN_PID=$$x exec " BROKER_PATH " --listen", 125, "has passed none"},
        {"LISTEN_FDS=0 LISTEN_PID=$$ exec " BROKER_PATH " --listen", 125, "which has passed none"},
        {"LISTEN_FDS=2 LISTEN_PID=$$ exec " BROKER_PATH " --listen", 125,
         "not a listening SOCK_SEQPACKET socket"},
        {"LISTEN_FDS=1 LISTEN_PID=$$ exec " BROKER_PATH " --listen", 125,
         "not a listening SOCK_SEQPACKET socket"},
        {"LISTEN_FDS=1 LISTEN_PID=$$ exec " BROKER_PATH " --listen 3</dev/null", 125,
         "not a listening SOCK_SEQPACKET socket"},
        {"exec " BROKER_PATH " --listen --session-fd 5", 125, "say one of"},
        {"exec " BROKER_PATH " --idle-exit 5", 125, "say one of"},
        {"exec " BROKER_PATH " --listen --idle-exit -1", 125, "--idle-exit takes seconds"},
        {"exec " BROKER_PATH " --listen /no/such/folder/socket", 125, " failed: No such file"},
        {"exec " BROKER_PATH " --listen /tmp/" /* more than unix(7) takes */
         "0123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234567890123456789",
         125, " failed: File name too long"},
        {"install -o 54321 /dev/null " FOLDER "/file; exec " AS_SERVICE BROKER_PATH
         " --listen " FOLDER "/file",
         125, " failed: Address already in use"},
        /* What no_new_privs makes of the file's capability: nothing. */
        {"exec setpriv --reuid 54321 --regid 54322 --clear-groups sh -c "
         "'exec setpriv --no-new-privs " BROKER_PATH " --listen " SOCKET "'",
         1, "the service needs CAP_SYS_ADMIN, as an ambient capability"},
        /* The file has the capability, the caller has not: they may say nothing. */
        {"exec setpriv --reuid 54321 --regid 54322 --clear-groups " BROKER_PATH " --listen " SOCKET,
         125, "only a caller that holds CAP_SYS_ADMIN may give this option"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        const struct run run = {.argv = {"/bin/sh", "-c", cases[i].script}};

        harness_run(&run, &result);
        if (strstr(result.errors, cases[i].message) == NULL)
            fail_msg("%s: %s", cases[i].script, result.errors);
        harness_assert_exit(&result, cases[i].code);
    }
}

static bool is_listening(void *context) {
    struct stat status;

    (void)context;
    return stat(SOCKET, &status) == 0 && S_ISSOCK(status.st_mode);
}

static pid_t start(char *script) {
    const struct run run = {.argv = {"/bin/sh", "-c", script}};
    int output, errors;
    pid_t pid = harness_start(&run, &output, &errors);

    close(output);
    close(errors);
    return pid;
}

static void a_socket_of_its_own_is_its_users_alone_and_goes_with_it(void **state) {
    static char script[] = "umask 0; exec " AS_SERVICE BROKER_PATH " --listen " SOCKET;
    static struct result result;
    const struct run again = {.argv = {"/bin/sh", "-c", script}};
    struct stat status;
    pid_t pid = start(script);
    int wait_status;

    (void)state;
    assert_true(harness_wait_for(is_listening, NULL));
    assert_int_equal(stat(SOCKET, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_uid, 54321);
    harness_run(&again, &result);
    harness_assert_exit(&result, 125);
    assert_non_null(strstr(result.errors, "another process listens at this path already"));
    /* One that was killed leaves its socket; the next takes its place. */
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(is_listening(NULL));
    pid = start(script);
    usleep(500000);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    assert_int_equal(wait_status, 0);
    assert_false(is_listening(NULL));
}

static void it_ends_when_nobody_has_asked_and_nothing_lives(void **state) {
    static char script[] = "exec " AS_SERVICE BROKER_PATH " --idle-exit 1 --listen " SOCKET;
    struct timespec begin, end;
    pid_t pid = start(script);
    int wait_status;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_int_equal(wait_status, 0);
    assert_true(end.tv_sec - begin.tv_sec >= 0 && end.tv_sec - begin.tv_sec <= 5);
    assert_false(is_listening(NULL));
}

/* Also what a command has left in the background keeps it: the service manager would end that. */
static void what_lives_keeps_it(void **state) {
    char *const options[] = {"--idle-exit", "1", NULL};
    struct test_service service;
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "--via=service", "-n", "x.test", "sh", "-c",
                                     "sleep 4 >/dev/null 2>&1 &"}};
    int wait_status;

    (void)state;
    service_start(&service, USER_WITHOUT_NAME, RUN_FOLDER "/54321.sock", options);
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    sleep(3);
    assert_int_equal(waitpid(service.pid, &wait_status, WNOHANG), 0);
    for (int i = 0; i < 100 && waitpid(service.pid, &wait_status, WNOHANG) == 0; i++)
        usleep(100000);
    assert_int_equal(wait_status, 0);
    assert_int_equal(kill(service.pid, 0), -1);
    close(service.listen_fd);
    (void)unlink(service.path);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* SIGTERM for the commands, and SIGKILL ten seconds later for those that ignore it. */
static void a_service_that_is_stopped_ends_its_commands(void **state) {
    static char *const scripts[] = {"echo ready; exec sleep 60",
                                    "trap '' TERM; echo ready; while :; do sleep 1; done"};
    static const int signals[] = {SIGTERM, SIGKILL};
    struct test_service service;
    int outputs[2], errors[2], status;
    pid_t pids[2];

    (void)state;
    service_start(&service, USER_WITHOUT_NAME, RUN_FOLDER "/54321.sock", NULL);
    for (size_t i = 0; i < 2; i++) {
        const struct run run = {
            .user = USER_WITHOUT_NAME,
            .argv = {UTSRUN_PATH, "--via=service", "-n", "x.test", "sh", "-c", scripts[i]}};

        pids[i] = harness_start(&run, &outputs[i], &errors[i]);
        assert_string_equal(harness_read_line(outputs[i]), "ready");
    }
    service_stop(&service);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i]);
        close(outputs[i]);
        close(errors[i]);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_missing_to_start_is_told),
    cmocka_unit_test(a_socket_of_its_own_is_its_users_alone_and_goes_with_it),
    cmocka_unit_test(it_ends_when_nobody_has_asked_and_nothing_lives),
    cmocka_unit_test(what_lives_keeps_it),
    cmocka_unit_test(a_service_that_is_stopped_ends_its_commands),
};

TEST_MAIN_AS_ROOT(tests, set_up, tear_down)
