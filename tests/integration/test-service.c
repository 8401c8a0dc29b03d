/* The service: clients that break the protocol, limits, a changed policy. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/integration/harness.h"
#include "utsbroker/protocol.h"

static pid_t service_pid(void) {
    return harness_service_of(USER_WITHOUT_NAME)->pid;
}

static char *service_path(void) {
    return harness_service_of(USER_WITHOUT_NAME)->path;
}

static int number_of(const char *format, pid_t pid) {
    char command[128];
    FILE *pipe;
    int n = -1;

    snprintf(command, sizeof(command), format, (int)pid);
    pipe = popen(command, "re");
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%d", &n), 1);
    pclose(pipe);
    return n;
}

static int n_descriptors(void) {
    return (int)harness_count_descriptors(service_pid());
}

/* True if the service is at rest: a ready session, its gate, and the descriptors for them. */
static bool service_is_quiet(void *context) {
    pid_t children[8];

    return service_children(service_pid(), children, 8) == 2 && n_descriptors() == *(int *)context;
}

static void assert_quiet(int n_before) {
    if (!harness_wait_for(service_is_quiet, &n_before))
        fail_msg("the service has %d descriptors, %d before", n_descriptors(), n_before);
}

static int quiet_descriptors(void) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "true"}};

    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    usleep(200000);
    return n_descriptors();
}

static const struct result *client(char *scenario, char *argument) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {CLIENT_PATH, service_path(), scenario, argument}};

    harness_run(&run, &result);
    return &result;
}

static void assert_lines(const struct result *result, const char *const *lines, size_t n) {
    const char *at = result->output;

    for (size_t i = 0; i < n; i++) {
        if (strncmp(at, lines[i], strlen(lines[i])) != 0)
            fail_msg("line %zu is not '%s': %s %s", i + 1, lines[i], at, result->errors);
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
    assert_string_equal(at, "");
}

static void malformed_records_are_refused_and_nothing_is_left(void **state) {
    static const char *const lines[] = {"status 0 ", "status 2 ", "status 2 ", "status 2 ",
                                        "status 2 ", "status 2 ", "status 2 ", "status 2 ",
                                        "status 2 ", "status 2 ", "status 2 ", "status 3 ",
                                        "status 2 ", "status 2 ", "status 2 "};
    int before = quiet_descriptors();
    pid_t pid = service_pid();

    (void)state;
    assert_lines(client("records", NULL), lines, BASE_ARRAY_SIZE(lines));
    assert_quiet(before);
    assert_int_equal(kill(pid, 0), 0);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void descriptors_of_the_wrong_kind_are_refused_and_nothing_is_left(void **state) {
    static const char *const lines[] = {
        "status 0 ", /* valid */
        "status 2 ",          "status 2 ",
        "status 2 ",          "status 2 ",          /* no launch description */
        "status 11 errno 20", "status 11 errno 20", /* no directory */
        "status 2 ",          "status 0 ",          /* one described, none, one */
        "status 2 ",          "status 2 ",
        "status 2 ",          "status 2 ", /* numbers */
        "status 11 errno 25", "status 11 errno 25",
        "status 0 errno 0", /* no terminal, a terminal */
    };
    int before = quiet_descriptors();

    (void)state;
    assert_lines(client("kinds", NULL), lines, BASE_ARRAY_SIZE(lines));
    assert_quiet(before);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void each_notice_comes_once_before_the_connection_ends(void **state) {
    static const struct {
        char *scenario, *script;
        const char *lines[4];
        size_t n;
    } cases[] = {
        {"run", "exit 7", {"status 0 ", "notice 1792\n", "end"}, 3},
        {"run", "kill -9 $$", {"status 0 ", "notice 9\n", "end"}, 3},
        {"run",
         "(sleep 0.3; kill -CONT $$) & kill -STOP $$; exit 1",
         {"status 0 ", "notice 4991\n", "notice 256\n", "end"},
         4},
        {"run", "exec /no/such/file", {"status 0 ", "notice 32512\n", "end"}, 3},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        assert_lines(client(cases[i].scenario, cases[i].script), cases[i].lines, cases[i].n);
    /* The service never reads a second request on the connection; a reset may lose the notice
     * (unix(7)). */
    assert_memory_equal(client("twice", "exit 3")->output, "status 0 ", 9);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static double seconds_since(const struct timespec *begin) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) / 1e9;
}

/* Silent clients cost no process, delay nobody, and are disconnected after five seconds. */
static void silent_clients_affect_nobody(void **state) {
    static struct result result;
    const struct run silent = {.user = USER_WITHOUT_NAME,
                               .argv = {CLIENT_PATH, service_path(), "silent", "100"}};
    const struct run good = {.user = USER_WITHOUT_NAME,
                             .argv = {UTSRUN_PATH, "-n", "x.test", "true"}};
    int before = quiet_descriptors(), output, errors, status;
    struct timespec begin;
    pid_t pid;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    pid = harness_start(&silent, &output, &errors);
    assert_string_equal(harness_read_line(output), "connected");
    for (int i = 0; i < 20; i++) {
        harness_run(&good, &result);
        harness_assert_exit(&result, 0);
    }
    assert_true(seconds_since(&begin) < 3);
    /* The service, its zygote, the ready session and its gate; and the silent client. */
    assert_true(harness_count_processes(USER_WITHOUT_NAME->uid) <= SERVICE_PROCESSES + 3);
    assert_memory_equal(harness_read_line(output), "status 14 ", 10); /* PROTOCOL_TOO_LATE */
    assert_true(seconds_since(&begin) > 4 && seconds_since(&begin) < 8);
    assert_string_equal(harness_read_line(output), "end");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(output);
    close(errors);
    assert_quiet(before);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

enum { LIMIT = 12, LAUNCHES = 8 };

/* Each of two launches sends more descriptors than the limit permits on their way. */
static void hold_descriptors(void *context) {
    const struct rlimit limit = {LIMIT, LIMIT};

    (void)context;
    for (int fd = 3; fd < LIMIT - 3; fd++)
        if (dup2(0, fd) != fd)
            _exit(200);
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        _exit(200);
}

/* unix(7), ETOOMANYREFS: while the service takes nothing, only the first request can be sent. */
static void a_launch_waits_while_too_many_descriptors_are_on_their_way(void **state) {
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "-n", "x.test", "sh", "-c", "set -- /proc/$$/fd/*; exit $#"},
        .set_up = hold_descriptors};
    pid_t pids[LAUNCHES];
    int outputs[LAUNCHES], errors[LAUNCHES], before = quiet_descriptors();

    (void)state;
    assert_int_equal(kill(service_pid(), SIGSTOP), 0);
    for (int i = 0; i < LAUNCHES; i++)
        pids[i] = harness_start(&run, &outputs[i], &errors[i]);
    usleep(300000);
    for (int i = 0; i < LAUNCHES; i++)
        assert_int_equal(waitpid(pids[i], NULL, WNOHANG), 0);
    assert_int_equal(kill(service_pid(), SIGCONT), 0);
    for (int i = 0; i < LAUNCHES; i++) {
        char text[512] = "";
        int status;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(read(errors[i], text, sizeof(text) - 1) >= 0);
        /* The shell's, and its own of the folder. */
        if (!WIFEXITED(status) || WEXITSTATUS(status) != LIMIT - 3 + 1)
            fail_msg("launch %d: wait status 0x%x, %s", i, (unsigned)status, text);
        close(outputs[i]);
        close(errors[i]);
    }
    assert_quiet(before);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* A launch that waits for its turn is not deaf. */
static void a_launch_that_waits_can_be_interrupted(void **state) {
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "sleep", "60"},
                            .set_up = hold_descriptors};
    pid_t pids[LAUNCHES];
    int outputs[LAUNCHES], errors[LAUNCHES], n_interrupted = 0;

    (void)state;
    assert_int_equal(kill(service_pid(), SIGSTOP), 0);
    for (int i = 0; i < LAUNCHES; i++)
        pids[i] = harness_start(&run, &outputs[i], &errors[i]);
    usleep(300000);
    for (int i = 0; i < LAUNCHES; i++)
        assert_int_equal(kill(pids[i], SIGTERM), 0);
    usleep(700000);
    for (int i = 0; i < LAUNCHES; i++)
        n_interrupted += waitpid(pids[i], NULL, WNOHANG) == pids[i];
    test_assert_in_range(n_interrupted, LAUNCHES - 2, LAUNCHES);
    assert_int_equal(kill(service_pid(), SIGCONT), 0);
    for (int i = 0; i < LAUNCHES; i++) {
        (void)waitpid(pids[i], NULL, 0);
        close(outputs[i]);
        close(errors[i]);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static bool no_command_lives(void *context) {
    pid_t children[8];

    (void)context;
    return service_children(service_pid(), children, 8) == 2;
}

/* A client that disconnects after the reply was sent leaves a live command without a client. */
static void a_client_that_disconnects_leaves_nothing(void **state) {
    int before = quiet_descriptors(), n_commands;

    (void)state;
    for (int i = 0; i < 60; i++) {
        char stage[] = {(char)('0' + i % 3), '\0'};

        harness_assert_exit(client("go-away", stage), 0);
        usleep(20000);
        n_commands = number_of("pgrep -P %d -x sleep | wc -l", service_pid());
        /* Between the two, chance decides whether the reply was sent already. */
        if (i % 3 == 0 && n_commands != 0)
            fail_msg("a command without a request");
        if (i % 3 == 2)
            assert_int_equal(n_commands, 1);
        assert_int_equal(number_of("pkill -P %d -x sleep; echo 0", service_pid()), 0);
        assert_true(harness_wait_for(no_command_lives, NULL));
    }
    assert_quiet(before);
}

static unsigned long cpu_ticks(pid_t pid) {
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    assert_non_null(file);
    (void)!fgets(text, sizeof(text), file);
    fclose(file);
    (void)sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                 &user, &system);
    return user + system;
}

/* As the user, who may limit their own service. */
static void set_descriptors(char *limit) {
    static struct result result;
    char pid[16];
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {"/usr/bin/prlimit", "--pid", pid, limit}};

    snprintf(pid, sizeof(pid), "%d", (int)service_pid());
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
}

static void without_descriptors_it_waits_and_stays_idle(void **state) {
    static struct result result;
    const struct run good = {.user = USER_WITHOUT_NAME,
                             .argv = {UTSRUN_PATH, "-n", "x.test", "true"}};
    int output, errors, status;
    unsigned long ticks;
    pid_t pid;

    (void)state;
    set_descriptors("--nofile=4:");
    ticks = cpu_ticks(service_pid());
    pid = harness_start(&good, &output, &errors);
    sleep(2);
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_true(cpu_ticks(service_pid()) - ticks < 10); /* 0.1 s of two seconds */
    set_descriptors("--nofile=20000:");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(output);
    close(errors);
    harness_run(&good, &result);
    harness_assert_exit(&result, 0);
}

/* After a thousand launches the service has the same memory, descriptors and processes. */
static void nothing_grows(void **state) {
#ifdef NDEBUG
    const int slack = 256;
#else /* a sanitizer's runtime keeps freed memory */
    const int slack = 65536;
#endif
    static struct result result;
    const struct run many = {
        .user = USER_WITHOUT_NAME,
        .argv = {"/bin/sh", "-c", "for i in $(seq 500); do " UTSRUN_PATH " -n x.test true; done"}};
    int before = quiet_descriptors();
    int memory = number_of("awk '/VmRSS/{print $2}' /proc/%d/status", service_pid()), later;

    (void)state;
    harness_run(&many, &result);
    harness_assert_exit(&result, 0);
    assert_string_equal(result.errors, "");
    assert_quiet(before);
    later = number_of("awk '/VmRSS/{print $2}' /proc/%d/status", service_pid());
    if (later > memory + slack)
        fail_msg("%d KiB, %d before", later, memory);
}

static struct result *run_named(char *name, char *script) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", name, "sh", "-c", script}};

    harness_run(&run, &result);
    return &result;
}

/* The second version has the same size and follows within one tick of the file system's clock. */
static void the_very_next_request_obeys_a_changed_policy(void **state) {
    (void)state;
    for (int i = 0; i < 50; i++) {
        policy_write("10-test.conf",
                     i % 2 == 0 ? "permit any hostname lab1" : "permit any hostname lab2");
        harness_assert_exit(run_named("lab1", "true"), i % 2 == 0 ? 0 : 125);
    }
    assert_int_equal(chmod(POLICY_FOLDER_ADMIN "/10-test.conf", 0666), 0);
    assert_non_null(strstr(run_named("lab2", "true")->errors, "has an error"));
    policy_clear();
    harness_assert_exit(run_named("lab2", "true"), 125);
    harness_assert_exit(run_named("x.test", "true"), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(malformed_records_are_refused_and_nothing_is_left),
    cmocka_unit_test(descriptors_of_the_wrong_kind_are_refused_and_nothing_is_left),
    cmocka_unit_test(each_notice_comes_once_before_the_connection_ends),
    cmocka_unit_test(silent_clients_affect_nobody),
    cmocka_unit_test(a_launch_waits_while_too_many_descriptors_are_on_their_way),
    cmocka_unit_test(a_launch_that_waits_can_be_interrupted),
    cmocka_unit_test(a_client_that_disconnects_leaves_nothing),
    cmocka_unit_test(without_descriptors_it_waits_and_stays_idle),
    cmocka_unit_test(nothing_grows),
    cmocka_unit_test(the_very_next_request_obeys_a_changed_policy),
};

HARNESS_MAIN(tests)
