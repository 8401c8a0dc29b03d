/* The service obeys the current policy and counts the running commands, whatever happens to them.
 */

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/integration/ledger.h"
#include "utsbroker/protocol.h"
#include "utsbroker/resource.h"

#define FOLDER "/tmp/test-rules"

/* A change of "permit any hostname x.test", and the status of the next request. */
static const struct {
    const char *what;
    const char *change; /* a shell command, in the folder of this case */
    enum protocol_status status;
} changes[] = {
    {"nothing", "true", PROTOCOL_GRANTED},
    {"content of the same size, and the old time",
     "touch -r p/10.conf t; echo 'permit any hostname y.test' > p/10.conf; touch -r t p/10.conf",
     PROTOCOL_DENIED},
    {"the file's mode", "chmod 666 p/10.conf", PROTOCOL_POLICY_INVALID},
    {"the file's owner", "chown 54321 p/10.conf", PROTOCOL_POLICY_INVALID},
    {"the folder's mode", "chmod 777 p", PROTOCOL_POLICY_INVALID},
    {"the folder's owner", "chown 54321 p", PROTOCOL_POLICY_INVALID},
    {"the file is gone", "rm p/10.conf", PROTOCOL_POLICY_INVALID},
    {"the folder is gone", "rm -r p", PROTOCOL_POLICY_INVALID},
    {"a file more", "echo 'deny any' > p/00.conf", PROTOCOL_DENIED},
    {"another file in its place, of the same size and time",
     "echo 'permit any hostname y.test' > new; touch -r p/10.conf new; mv new p/10.conf",
     PROTOCOL_DENIED},
    {"a link to /dev/null in its place", "ln -sf /dev/null p/10.conf", PROTOCOL_DENIED},
    {"another folder in its place", "mkdir n; echo 'deny any' > n/10.conf; mv p o; mv n p",
     PROTOCOL_DENIED},
    {"a link to another folder in its place",
     "mkdir n; echo 'deny any' > n/10.conf; mv p o; ln -s n p", PROTOCOL_DENIED},
    {"another parent in its place",
     "mkdir -p n/q; echo 'deny any' > n/q/00.conf; mv parent o; mv n parent", PROTOCOL_DENIED},
    {"a folder that was not there", "mkdir -p parent/q; echo 'deny any' > parent/q/00.conf",
     PROTOCOL_DENIED},
};
enum { N_CHANGES = BASE_ARRAY_SIZE(changes) };

static struct test_service services[N_CHANGES];

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void shell(const char *format, ...) {
    char command[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static int status_now(char *path) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {CLIENT_PATH, path, "run", "exit 0"}};
    int status = -1;

    harness_run(&run, &result);
    if (sscanf(result.output, "status %d ", &status) != 1)
        fail_msg("no answer: %s %s", result.output, result.errors);
    return status;
}

/* Counts the policy files that the service opens for one request, by strace(1). */
static int n_opened(struct test_service *service, int *statusp) {
    static struct result result;
    char pid[16];
    const struct run run = {.argv = {"/usr/bin/strace", "-f", "-qqq", "-e",
                                     "trace=open,openat,openat2", "-o", FOLDER "/trace", "-p",
                                     pid}};
    const struct run count = {.argv = {"/usr/bin/grep", "-c", "10.conf", FOLDER "/trace"}};
    int output, errors, n = -1;
    pid_t tracer;

    snprintf(pid, sizeof(pid), "%d", (int)service->pid);
    tracer = harness_start(&run, &output, &errors);
    /* With -qqq strace does not report that it is attached; the kernel does. */
    for (int i = 0; i < 500; i++) {
        snprintf(result.output, sizeof(result.output),
                 "grep -q '^TracerPid:[[:space:]]*%d$' /proc/%s/status", (int)tracer, pid);
        if (system(result.output) == 0)
            break;
        usleep(10000);
    }
    *statusp = status_now(service->path);
    assert_int_equal(kill(tracer, SIGINT), 0);
    assert_int_equal(waitpid(tracer, NULL, 0), tracer);
    close(output);
    close(errors);
    harness_run(&count, &result);
    assert_int_equal(sscanf(result.output, "%d", &n), 1);
    return n;
}

static void change_begin(size_t i) {
    char path[108], folders[3][64];
    char *const options[] = {
        "--policy-dir", folders[0], "--policy-dir", folders[1], "--idle-exit", "0", NULL};

    snprintf(folders[0], sizeof(folders[0]), FOLDER "/%zu/parent/q", i);
    snprintf(folders[1], sizeof(folders[1]), FOLDER "/%zu/p", i);
    shell("umask 022; mkdir -p %s; echo 'permit any hostname x.test' > %s/10.conf", folders[1],
          folders[1]);
    /* The last case starts without it. */
    if (i < N_CHANGES - 1)
        shell("umask 022; mkdir -p %s", folders[0]);
    snprintf(path, sizeof(path), FOLDER "/%zu.sock", i);
    service_start(&services[i], USER_WITHOUT_NAME, path, options);
}

/* An unchanged policy is not read again, so the service must see the change itself. */
static void only_a_changed_policy_is_read_again(void **state) {
    int status;

    (void)state;
    for (size_t i = 0; i < N_CHANGES; i++)
        change_begin(i);
    sleep(4);
    for (size_t i = 0; i < N_CHANGES; i++)
        assert_int_equal(status_now(services[i].path), PROTOCOL_GRANTED);
    assert_int_equal(n_opened(&services[0], &status), 0);
    for (size_t i = 0; i < N_CHANGES; i++) {
        shell("umask 022; cd " FOLDER "/%zu; %s", i, changes[i].change);
        if (i != 1)
            status = status_now(services[i].path);
        else
            assert_true(n_opened(&services[i], &status) > 0);
        if (status != (int)changes[i].status)
            fail_msg("%s: status %d, not %d", changes[i].what, status, (int)changes[i].status);
    }
    for (size_t i = 0; i < N_CHANGES; i++)
        service_stop(&services[i]);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static struct test_service service;

static void service_begin(void) {
    char *const options[] = {"--idle-exit", "0", NULL};
    char path[108];

    snprintf(path, sizeof(path), "%s/%u.sock", RUN_FOLDER, (unsigned)USER_WITHOUT_NAME->uid);
    service_start(&service, USER_WITHOUT_NAME, path, options);
}

static const struct result *ask(char *name) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "--via", "service", "-n", name, "true"}};

    harness_run(&run, &result);
    return &result;
}

static pid_t start_sleeper(char *name, bool is_awaited) {
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "--via", "service", "-n", name, "sh", "-c",
                                     "echo ready; exec sleep 60"}};
    int output, errors;
    pid_t pid = harness_start(&run, &output, &errors);

    if (is_awaited)
        assert_string_equal(harness_read_line(output), "ready");
    close(output);
    close(errors);
    return pid;
}

/* utsrun, the session, or the gate (then the command) is killed, at any moment. */
static void a_killed_process_frees_its_place_under_the_limit(void **state) {
    unsigned seed = 41;
    int status;

    (void)state;
    policy_write("10-test.conf", "permit any hostname lab* limit 1");
    service_begin();
    for (int i = 0; i < 200; i++) {
        pid_t children[8], pid = start_sleeper("lab1", false);
        size_t n;

        usleep((unsigned)rand_r(&seed) % 5000);
        n = children_of(service.pid, children, 8);
        if (i % 4 == 0)
            (void)kill(pid, SIGKILL);
        else if (n > 0)
            (void)kill(children[(size_t)rand_r(&seed) % n], SIGKILL);
        /* What still runs ends by its launcher's SIGTERM, or as the service's last child. */
        usleep(3000);
        (void)kill(pid, SIGTERM);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        for (n = children_of(service.pid, children, 8); n > 0; n--)
            (void)kill(children[n - 1], SIGKILL);
        if (i % 10 == 9) {
            usleep(20000);
            harness_assert_exit(ask("lab2"), 0);
        }
    }
    service_stop(&service);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static bool is_limit_reached(char *name) {
    return strstr(ask(name)->errors, "limit reached: ") != NULL;
}

static bool is_granted(void *context) {
    return ask(context)->status == 0;
}

/* Two names under one rule share a limit; one name under two rules (another NIS domain name) does
 * not. */
static void a_limit_counts_for_the_rule_and_not_for_the_name(void **state) {
    static struct result result;
    const struct run other_rule = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "--via", "service", "-n", "lab1", "-d", "lab.example", "true"}};
    pid_t pids[2];
    int status;

    (void)state;
    policy_write("10-test.conf", "permit any hostname lab* limit 2\n"
                                 "permit any hostname lab* domainname lab.example limit 1\n"
                                 "permit any hostname desk limit 1");
    service_begin();
    pids[0] = start_sleeper("lab1", true);
    pids[1] = start_sleeper("lab2", true);
    assert_true(is_limit_reached("lab3"));
    assert_true(is_limit_reached("lab1"));
    harness_assert_exit(ask("desk"), 0);
    harness_run(&other_rule, &result);
    harness_assert_exit(&result, 0);
    /* Killed without a launcher that waits for it: its place is free all the same. */
    assert_int_equal(kill(pids[0], SIGTERM), 0);
    assert_int_equal(waitpid(pids[0], &status, 0), pids[0]);
    assert_true(harness_wait_for(is_granted, "lab3"));
    assert_int_equal(kill(pids[1], SIGTERM), 0);
    assert_int_equal(waitpid(pids[1], &status, 0), pids[1]);
    service_stop(&service);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void lower_limits(void *context) {
    static const struct {
        int resource;
        struct rlimit limit;
    } all[] = {{RLIMIT_FSIZE, {1 << 29, 1 << 30}},
               {RLIMIT_NPROC, {300, 400}},
               {RLIMIT_CPU, {50, 60}},
               {RLIMIT_STACK, {1 << 22, 1 << 23}}};

    (void)context;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(all); i++)
        if (setrlimit((resource_limit)all[i].resource, &all[i].limit) < 0)
            _exit(203);
}

static void forbid_new_processes(void *context) {
    const struct rlimit one = {1, 1};

    (void)context;
    if (setrlimit(RLIMIT_NPROC, &one) < 0)
        _exit(203);
}

static void the_callers_limits_bind_the_command(void **state) {
    static struct result result;
    struct run run = {.user = USER_WITHOUT_NAME,
                      .argv = {UTSRUN_PATH, "--via", "service", "-n", "x.test", "bash", "-c",
                               "for l in f u t s; do echo $(ulimit -S$l) $(ulimit -H$l); done"},
                      .set_up = lower_limits};

    (void)state;
    service_begin();
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    assert_string_equal(result.output, "524288 1048576\n300 400\n50 60\n4096 8192\n");
    run.set_up = forbid_new_processes;
    harness_run(&run, &result);
    harness_assert_exit(&result, 125);
    assert_non_null(strstr(result.errors, "too many processes"));
    /* They bind no other process. */
    harness_assert_exit(ask("x.test"), 0);
    service_stop(&service);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* What a failed test leaves would make the next ones fail. */
static int forget(void **state) {
    (void)state;
    for (size_t i = 0; i < N_CHANGES + 1; i++) {
        struct test_service *left = i < N_CHANGES ? &services[i] : &service;

        if (left->pid != 0) {
            (void)kill(left->pid, SIGTERM);
            (void)waitpid(left->pid, NULL, 0);
            left->pid = 0;
        }
    }
    policy_clear();
    return system("rm -rf " FOLDER);
}

static int begin(void **state) {
    (void)state;
    return system("rm -rf " FOLDER " && mkdir -m 755 " FOLDER);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(only_a_changed_policy_is_read_again, begin, forget),
    cmocka_unit_test_setup_teardown(a_killed_process_frees_its_place_under_the_limit, begin,
                                    forget),
    cmocka_unit_test_setup_teardown(a_limit_counts_for_the_rule_and_not_for_the_name, begin,
                                    forget),
    cmocka_unit_test_setup_teardown(the_callers_limits_bind_the_command, begin, forget),
};

static struct test_ledger ledger;

static int set_up(void **state) {
    return ledger_begin(&ledger, state);
}

static int tear_down(void **state) {
    return ledger_end(&ledger, state);
}

TEST_MAIN_AS_ROOT(tests, set_up, tear_down)
