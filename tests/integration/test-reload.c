/*
 * A reload: the service executes the installed program in its own place (broker/service/reload.h),
 * and its clients notice nothing.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/integration/by-hand.h"
#include "tests/integration/harness.h"

static struct test_service *service(void) {
    return harness_service_of(USER_WITHOUT_NAME);
}

static void assert_served(void) {
    static struct result result;
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "--via", "service", "-n", "served.test", "uname", "-n"}};

    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    assert_string_equal(result.output, "served.test\n");
}

/* A request that comes meanwhile waits for the new program. */
static void reload(void) {
    assert_int_equal(kill(service()->pid, SIGHUP), 0);
    assert_served();
    assert_true(harness_wait_for(service_is_resumed, service()));
}

static bool exists(void *path) {
    return access(path, F_OK) == 0;
}

static void wait_for_file(const char *path) {
    if (!harness_wait_for(exists, (void *)path))
        fail_msg("%s does not appear", path);
}

static void file_make(const char *path) {
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

static char folder[] = "/tmp/test-reload-XXXXXX";

static int set_up(void **state) {
    if (harness_set_up(state) != 0 || mkdtemp(folder) == NULL)
        return -1;
    return chmod(folder, 0777) != 0 || chdir(folder) != 0 ? -1 : 0;
}

static int tear_down(void **state) {
    char command[64];

    snprintf(command, sizeof(command), "cd / && rm -rf %s", folder);
    if (chdir("/") != 0)
        return -1;
    return system(command) != 0 ? -1 : harness_tear_down(state);
}

/* Another program in its place is not executed, and the service goes on. */
static void a_broken_program_changes_nothing(void **state) {
    static const struct {
        const char *what, *command;
    } cases[] = {
        {"no program", "echo nonsense >new; chmod 755 new"},
        {"one that fails", "cp /bin/false new"},
        {"one that accepts everything", "cp /bin/true new"},
        {"one that cannot be executed", "cp " BROKER_PATH " new; chmod 644 new"},
        {"a user's", "cp " BROKER_PATH " new; chown 54321 new"},
        {"one that others can write", "cp " BROKER_PATH " new; chmod 777 new"},
        {"one that loses the capability", "cp " BROKER_PATH " new; setcap cap_net_raw=p new"},
        {"one that does not answer", "printf '#!/bin/sleep 30\n' >new; chmod 755 new"},
    };
    const pid_t pid = service()->pid;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        if (system("rm -f new") != 0 || system(cases[i].command) != 0 ||
            mount("new", BROKER_PATH, NULL, MS_BIND, NULL) < 0)
            fail_msg("%s: %s", cases[i].what, strerror(errno));
        assert_int_equal(kill(pid, SIGHUP), 0);
        usleep(100000); /* else the request could be served first, and the reload come too late */
        assert_served();
        assert_int_equal(umount2(BROKER_PATH, MNT_DETACH), 0);
    }
    reload();
    assert_int_equal(system("rm new"), 0);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

#define WAIT ": >begun; until [ -e go ]; do sleep 0.02; done; "

/* Commands that live over reloads end as they would have: with their status, or their signal. */
static void a_command_goes_on_and_its_status_arrives(void **state) {
    static const struct {
        char *script;
        int status; /* wait(2)'s */
    } cases[] = {
        {WAIT "exit 7", 7 << 8},
        {WAIT "kill -TERM $$", SIGTERM},
        {WAIT "uname -n | grep -qx x.test", 0},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "sh", "-c", cases[i].script}};
        int output, errors, status;
        pid_t pid = harness_start(&run, &output, &errors);

        wait_for_file("begun");
        for (size_t n = 0; n <= i; n++)
            reload();
        file_make("go");
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status != cases[i].status)
            fail_msg("%s: wait status 0x%x", cases[i].script, (unsigned)status);
        close(output);
        close(errors);
        assert_int_equal(system("rm -f begun go"), 0);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static bool has_zygote(void *context) {
    (void)context;
    return service_zygote(service()->pid) != 0;
}

/* They run the program of before, and decide by what they have read. */
static void ready_sessions_and_zygote_are_made_anew(void **state) {
    pid_t before[8], zygote = service_zygote(service()->pid);
    size_t n = service_children(service()->pid, before, BASE_ARRAY_SIZE(before));

    (void)state;
    assert_true(zygote != 0 && n > 0);
    before[n++] = zygote;
    reload();
    assert_true(harness_wait_for(has_zygote, NULL));
    for (size_t i = 0; i < n; i++)
        if (kill(before[i], 0) == 0 || errno != ESRCH)
            fail_msg("process %d of the program before lives", (int)before[i]);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* How many descriptors the service has when it is at rest: when that does not change any more. It
 * makes its ready session a moment after its last client. */
static size_t count_descriptors_at_rest(void) {
    size_t n = 0;

    harness_assert_nothing_left(USER_WITHOUT_NAME);
    for (int i = 0, n_same = 0; i < 200 && n_same < 15; i++) {
        size_t now = harness_count_descriptors(service()->pid);

        n_same = now == n ? n_same + 1 : 0;
        n = now;
        usleep(20000);
    }
    return n;
}

/* Each command runs once, each status arrives, and nothing is left. */
static void a_thousand_launches_notice_none_of_a_hundred_reloads(void **state) {
    static struct result result;
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {
            "/bin/bash", "-c",
            "one() { for i in {1..250}; do " UTSRUN_PATH " -n x.test -- sh -c \"echo $1.$i "
            ">>ran; exit $((i % 7))\"; [ $? = $((i % 7)) ] || echo \"$1.$i: $?\"; done; }; "
            "for n in 1 2 3 4; do one $n & done; wait; sort -u ran | wc -l; wc -l <ran; : >done"}};
    size_t before;
    pid_t reloader;

    (void)state;
    reload();
    before = count_descriptors_at_rest();
    reloader = fork();
    if (reloader == 0) {
        for (int n = 0; n < 100 || (!exists("done") && n < 10000); n++) {
            kill(service()->pid, SIGHUP);
            usleep(20000);
        }
        _exit(0);
    }
    harness_run(&run, &result);
    file_make("done");
    assert_int_equal(waitpid(reloader, NULL, 0), reloader);
    harness_assert_exit(&result, 0);
    assert_string_equal(result.errors, "");
    assert_string_equal(result.output, "1000\n1000\n");
    assert_served();
    assert_int_equal(count_descriptors_at_rest(), before);
    assert_int_equal(system("rm -f ran done"), 0);
}

/* A client that has said nothing is handed over, too. */
static void a_silent_client_is_served_by_the_new_program(void **state) {
    int channel = -1;
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        harness_become(USER_WITHOUT_NAME);
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* as a program that the user executed is */
        channel = hand_connect(service()->path);
        file_make("begun");
        wait_for_file("go");
        _exit((int)hand_ask(channel).status);
    }
    wait_for_file("begun");
    reload();
    file_make("go");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(system("rm -f begun go"), 0);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* What was agreed for a command holds after a reload. */
static void the_end_of_utsrun_means_what_it_did(void **state) {
    static const struct {
        char *option;
        bool ends; /* the command ends with utsrun */
    } cases[] = {{"-v", false}, {"--die-with-parent", true}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct run run = {
            .user = USER_WITHOUT_NAME,
            .argv = {UTSRUN_PATH, cases[i].option, "-n", "x.test", "sh", "-c", WAIT ": >ended"}};
        int output, errors;
        pid_t pid = harness_start(&run, &output, &errors);

        wait_for_file("begun");
        reload();
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        if (cases[i].ends)
            harness_assert_nothing_left(USER_WITHOUT_NAME);
        reload();
        file_make("go");
        if (!cases[i].ends)
            wait_for_file("ended");
        harness_assert_nothing_left(USER_WITHOUT_NAME);
        assert_int_equal(exists("ended"), !cases[i].ends);
        close(output);
        close(errors);
        assert_int_equal(system("rm -f begun go ended"), 0);
    }
}

/* A command that stops stops utsrun, as its shell would see it. */
static void a_stop_is_told_after_a_reload(void **state) {
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "-n", "x.test", "sh", "-c", WAIT "kill -STOP $$; exit 5"}};
    int output, errors, status;
    pid_t pid = harness_start(&run, &output, &errors);

    (void)state;
    wait_for_file("begun");
    reload();
    file_make("go");
    assert_true(harness_wait_for_state(pid, "T"));
    reload();
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 5 << 8);
    close(output);
    close(errors);
    assert_int_equal(system("rm -f begun go"), 0);
}

/* A service that is told to end does not reload, and one that was reloaded ends. */
static void a_service_that_ends_does_not_reload(void **state) {
    static struct test_service own;
    int status;

    (void)state;
    service_start(&own, USER_NOBODY, "/run/test-reload/own", NULL);
    assert_int_equal(kill(own.pid, SIGSTOP), 0);
    assert_int_equal(kill(own.pid, SIGTERM), 0);
    assert_int_equal(kill(own.pid, SIGHUP), 0);
    assert_int_equal(kill(own.pid, SIGCONT), 0);
    assert_int_equal(waitpid(own.pid, &status, 0), own.pid);
    assert_int_equal(status, 0);
    close(own.listen_fd);
}

/* Sets the soft limit of processes of the service @pid, as its user can. */
static void limit_processes(pid_t pid, rlim_t limit) {
    struct rlimit processes;
    pid_t child = fork();
    int status;

    if (child == 0) {
        harness_become(USER_NOBODY);
        if (prlimit(pid, RLIMIT_NPROC, NULL, &processes) < 0)
            _exit(1);
        processes.rlim_cur = limit < processes.rlim_max ? limit : processes.rlim_max;
        _exit(prlimit(pid, RLIMIT_NPROC, &processes, NULL) < 0 ? 2 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* A service that cannot make a process just now does not stay the old program for ever. */
static void a_reload_is_tried_again_after_a_shortage(void **state) {
    static struct test_service own;

    (void)state;
    service_start(&own, USER_NOBODY, "/run/test-reload/own", NULL);
    limit_processes(own.pid, 1);
    assert_int_equal(kill(own.pid, SIGHUP), 0);
    usleep(300000);
    assert_false(service_is_resumed(&own));
    limit_processes(own.pid, RLIM_INFINITY);
    assert_true(harness_wait_for(service_is_resumed, &own));
    service_stop(&own);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_broken_program_changes_nothing),
    cmocka_unit_test(a_command_goes_on_and_its_status_arrives),
    cmocka_unit_test(ready_sessions_and_zygote_are_made_anew),
    cmocka_unit_test(a_thousand_launches_notice_none_of_a_hundred_reloads),
    cmocka_unit_test(a_silent_client_is_served_by_the_new_program),
    cmocka_unit_test(the_end_of_utsrun_means_what_it_did),
    cmocka_unit_test(a_stop_is_told_after_a_reload),
    cmocka_unit_test(a_service_that_ends_does_not_reload),
    cmocka_unit_test(a_reload_is_tried_again_after_a_shortage),
};

TEST_MAIN_AS_ROOT(tests, set_up, tear_down)
