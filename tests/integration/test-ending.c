/* utsrun ends as the command ended, stops as it stopped, and passes on the signals that it gets. */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/integration/harness.h"

static void every_exit_code_passes(void **state) {
    (void)state;
    for (int code = 0; code < 256; code++) {
        static struct result result;
        char script[32];
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "sh", "-c", script}};

        snprintf(script, sizeof(script), "exit %d", code);
        harness_run(&run, &result);
        harness_assert_exit(&result, code);
        assert_string_equal(result.errors, "");
    }
}

static void allow_cores(void *context) {
    const struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

    (void)context;
    (void)setrlimit(RLIMIT_CORE, &limit);
    if (chdir("/tmp") < 0)
        _exit(203);
}

static void utsrun_dies_by_the_commands_signal_without_a_core(void **state) {
    /* The C libraries use 32 to 34 themselves. */
    static const int signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGILL,  SIGABRT, SIGFPE,
                                  SIGKILL, SIGSEGV, SIGPIPE, SIGALRM, SIGTERM, SIGUSR1,
                                  SIGUSR2, SIGSYS,  32,      33,      34,      64};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(signals); i++) {
        static struct result result;
        char script[64];
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "sh", "-c", script},
                                .set_up = allow_cores};

        snprintf(script, sizeof(script), "ulimit -c 0; kill -%d $$; sleep 9", signals[i]);
        harness_run(&run, &result);
        if (!WIFSIGNALED(result.status) || WTERMSIG(result.status) != signals[i])
            fail_msg("signal %d: wait status 0x%x %s", signals[i], result.status, result.errors);
        assert_false(WCOREDUMP(result.status));
    }
}

static void commands_that_cannot_be_executed_have_the_usual_codes(void **state) {
    static const struct {
        char *command;
        int code;
        const char *message;
    } cases[] = {
        {"no-such-command", 127, "utsrun: 'no-such-command' could not be executed: No such file"},
        {"/no/such/file", 127, "No such file or directory"},
        {"", 127, "No such file or directory"},
        {"/etc/passwd", 126, "Permission denied"},
        {"/tmp", 126, "Permission denied"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "--", cases[i].command}};

        harness_run(&run, &result);
        harness_assert_exit(&result, cases[i].code);
        if (strstr(result.errors, cases[i].message) == NULL)
            fail_msg("'%s': %s", cases[i].command, result.errors);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void file_write(const char *path, const char *text, size_t size) {
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

/* The kernel's error is the same as for a file that does not exist. */
static void a_program_that_cannot_start_says_what_is_missing(void **state) {
    static char *environment[] = {"PATH=/usr/bin:/tmp/test-programs", NULL};
    static const struct {
        const char *file, *text, *message; /* NULL: as for a file that does not exist */
        char *command;
    } cases[] = {
        {"lost", "#!/no/such/interpreter\necho\n",
         "its interpreter /no/such/interpreter (in the #! line of /tmp/test-programs/lost) does "
         "not exist; install it, or change that line\n",
         "/tmp/test-programs/lost"},
        {"lost", "#! /no/such/interpreter -x y\n",
         "its interpreter /no/such/interpreter (in the #! line of /tmp/test-programs/lost) does "
         "not exist; install it, or change that line\n",
         "lost"},
        {"windows", "#!/bin/sh\r\necho\r\n",
         "the #! line of /tmp/test-programs/windows ends in CR LF, as on Windows; run: sed -i "
         "'s/\\r$//' /tmp/test-programs/windows\n",
         "windows"},
        {"windows", "#!/no/such/interpreter -x\r\n", "ends in CR LF", "windows"},
        {"nested", "#!/tmp/test-programs/lost\n",
         "its interpreter /tmp/test-programs/lost (in the #! line of /tmp/test-programs/nested) "
         "cannot start; try to execute that\n",
         "nested"},
        {"lost", "#!/no/such/interpreter\n", NULL, "other"},
    };

    (void)state;
    assert_int_equal(system("rm -rf /tmp/test-programs && mkdir -m 755 /tmp/test-programs"), 0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "--", cases[i].command},
                                .environment = environment};
        char path[64];

        snprintf(path, sizeof(path), "/tmp/test-programs/%s", cases[i].file);
        file_write(path, cases[i].text, strlen(cases[i].text));
        harness_run(&run, &result);
        harness_assert_exit(&result, 127);
        if (strstr(result.errors, cases[i].message != NULL ? cases[i].message
                                                           : ": No such file or directory") == NULL)
            fail_msg("case %zu: %s", i, result.errors);
    }
    assert_int_equal(system("rm -rf /tmp/test-programs"), 0);
}

/* A copy of a program whose loader was renamed, in the file, to one that does not exist. */
static void a_program_without_its_loader_is_told(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "--", "/tmp/test-program"}};

    (void)state;
    assert_int_equal(system("sed 's,/ld-linux,/xx-linux,' /bin/true >/tmp/test-program && "
                            "chmod 755 /tmp/test-program"),
                     0);
    harness_run(&run, &result);
    harness_assert_exit(&result, 127);
    assert_non_null(strstr(result.errors, "'/tmp/test-program' could not be executed: "
                                          "/tmp/test-program is there, but the loader that it "
                                          "names does not exist; install it"));
    assert_int_equal(unlink("/tmp/test-program"), 0);
}

/* A command that runs, its own pid, and utsrun's. */
struct running {
    pid_t utsrun, command;
    int output, errors;
};

static struct running start_recorder(void (*set_up)(void *context)) {
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", RECORDER_PATH},
                            .set_up = set_up};
    struct running running;
    const char *line;

    running.utsrun = harness_start(&run, &running.output, &running.errors);
    line = harness_read_line(running.output);
    assert_int_equal(sscanf(line, "ready %d", &running.command), 1);
    return running;
}

static void end_recorder(struct running *running) {
    int status;

    /* A signal that musl uses itself, and glibc does not. */
    assert_int_equal(kill(running->utsrun, SIGRTMIN), 0);
    assert_int_equal(waitpid(running->utsrun, &status, 0), running->utsrun);
    assert_int_equal(status, 0);
    close(running->output);
    close(running->errors);
}

static void signals_sent_to_utsrun_reach_the_command_once(void **state) {
    static const int signals[] = {SIGTERM, SIGHUP,   SIGINT,  SIGUSR1, SIGUSR2, SIGQUIT,
                                  SIGCONT, SIGWINCH, SIGALRM, SIGTSTP, SIGABRT, SIGSEGV};
    struct running running = start_recorder(NULL);

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(signals); i++) {
        char expected[32];

        assert_int_equal(kill(running.utsrun, signals[i]), 0);
        snprintf(expected, sizeof(expected), "signal %d", signals[i]);
        /* A signal that came twice would stand in the place of the next one. */
        assert_string_equal(harness_read_line(running.output), expected);
    }
    end_recorder(&running);
}

static void ignore_hangups(void *context) {
    (void)context;
    signal(SIGHUP, SIG_IGN);
}

static void ignored_signals_stay_ignored(void **state) {
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "-n", "x.test", "sh", "-c", "echo ready; read line; echo still here"},
        .set_up = ignore_hangups,
        .input = NULL};
    int output, errors, status;
    pid_t pid = harness_start(&run, &output, &errors);

    (void)state;
    assert_string_equal(harness_read_line(output), "ready");
    kill(pid, SIGHUP);
    assert_string_equal(harness_read_line(output), "still here");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(output);
    close(errors);
}

/*
 * Not SIGTSTP, SIGTTIN or SIGTTOU: the test's process group is orphaned, where they stop no
 * process.
 */
static void a_stopped_command_stops_utsrun_and_both_continue(void **state) {
    struct running running = start_recorder(NULL);
    int status;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kill(running.command, SIGSTOP), 0);
        assert_int_equal(waitpid(running.utsrun, &status, WUNTRACED), running.utsrun);
        assert_true(WIFSTOPPED(status));
        assert_int_equal(WSTOPSIG(status), SIGSTOP);
        assert_int_equal(harness_process_state(running.command), 'T');
        assert_int_equal(kill(running.utsrun, SIGCONT), 0);
        assert_int_equal(waitpid(running.utsrun, &status, WCONTINUED), running.utsrun);
        assert_true(WIFCONTINUED(status));
        assert_true(harness_wait_for_state(running.command, "SR"));
        assert_string_equal(harness_read_line(running.output), "signal 18"); /* SIGCONT */
    }
    end_recorder(&running);
}

/*
 * While utsrun is stopped, its command stops, continues, and ends: utsrun does not stop for that.
 */
static void after_a_pause_utsrun_follows_the_commands_last_state(void **state) {
    struct running running = start_recorder(NULL);
    int status;

    (void)state;
    assert_int_equal(kill(running.utsrun, SIGSTOP), 0);
    assert_int_equal(waitpid(running.utsrun, &status, WUNTRACED), running.utsrun);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kill(running.command, SIGSTOP), 0);
        assert_true(harness_wait_for_state(running.command, "T"));
        usleep(20000);
        assert_int_equal(kill(running.command, SIGCONT), 0);
        assert_true(harness_wait_for_state(running.command, "SR"));
    }
    assert_int_equal(kill(running.command, SIGKILL), 0);
    assert_true(harness_wait_for_state(running.command, "Z-"));
    usleep(50000); /* until the service has sent its notice */
    assert_int_equal(kill(running.utsrun, SIGCONT), 0);
    assert_int_equal(waitpid(running.utsrun, &status, WUNTRACED), running.utsrun);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(running.output);
    close(running.errors);
}

/* On one processor, where the broker often runs last. */
static void lead_a_group(void *context) {
    cpu_set_t one;

    (void)context;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    (void)sched_setaffinity(0, sizeof(one), &one);
    (void)setpgid(0, 0);
}

/* Like Ctrl-C at the moment when the command runs and the broker has not ended yet. */
static void the_command_may_handle_an_interrupt_of_the_group(void **state) {
    static const int signals[] = {SIGINT, SIGQUIT, SIGHUP};

    (void)state;
    for (int i = 0; i < harness_repeats(300); i++) {
        struct running running = start_recorder(lead_a_group);

        assert_int_equal(kill(-running.utsrun, signals[(size_t)i % BASE_ARRAY_SIZE(signals)]), 0);
        end_recorder(&running);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/*
 * Before the command runs, an interrupt ends all processes of the launch; utsrun dies by the signal
 * as the command would have.
 */
static void an_interrupt_of_the_group_at_any_moment_ends_all(void **state) {
    unsigned seed = 17;

    (void)state;
    for (int i = 0; i < harness_repeats(300); i++) {
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "sleep", "100"},
                                .set_up = lead_a_group};
        const struct timespec pause = {.tv_nsec = rand_r(&seed) % 3500000};
        int output, errors, status;
        pid_t pid = harness_start(&run, &output, &errors);

        nanosleep(&pause, NULL);
        if (kill(-pid, SIGINT) < 0) /* it has no group of its own yet */
            (void)kill(pid, SIGINT);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGINT)
            fail_msg("after %ld ns: wait status 0x%x", (long)pause.tv_nsec, status);
        close(output);
        close(errors);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
}

static void timeout_leaves_nothing_behind(void **state) {
    static char *const durations[] = {"1",     "0.5",   "0.05",  "0.01",
                                      "0.005", "0.003", "0.002", "0.001"};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(durations); i++) {
        for (int j = 0; j < (i < 2 ? 1 : 20); j++) {
            static struct result result;
            const struct run run = {.user = USER_WITHOUT_NAME,
                                    .argv = {"/usr/bin/timeout", durations[i], UTSRUN_PATH, "-n",
                                             "x.test", "sleep", "100"}};

            harness_run(&run, &result);
            harness_assert_exit(&result, 124);
            harness_assert_nothing_left(USER_WITHOUT_NAME);
        }
    }
}

/* kill(2) to utsrun alone, at any moment of its start; timeout(1) also signals the group. */
static void a_signal_at_any_moment_ends_all(void **state) {
    unsigned seed = 5;

    (void)state;
    for (int i = 0; i < harness_repeats(300); i++) {
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "sleep", "100"}};
        const struct timespec pause = {.tv_nsec = rand_r(&seed) % 5000000};
        int output, errors, status;
        pid_t pid = harness_start(&run, &output, &errors);

        nanosleep(&pause, NULL);
        assert_int_equal(kill(pid, SIGTERM), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGTERM);
        close(output);
        close(errors);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
}

static bool command_is_the_only_child(void *context) {
    const struct running *running = context;
    char path[64], text[64] = "", expected[64];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)running->utsrun,
             (int)running->utsrun);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    (void)!fgets(text, sizeof(text), file);
    fclose(file);
    snprintf(expected, sizeof(expected), "%d ", (int)running->command);
    return strcmp(text, expected) == 0;
}

static void the_broker_ends_before_the_command_runs(void **state) {
    struct running running = start_recorder(NULL);

    (void)state;
    assert_true(harness_wait_for(command_is_the_only_child, &running));
    assert_int_equal(harness_count_processes(USER_WITHOUT_NAME->uid), 2);
    end_recorder(&running);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void a_broker_that_is_killed_at_any_moment_leaves_no_command(void **state) {
#ifdef NDEBUG
    const long start_ns = 3000000;
#else /* a sanitizer's runtime starts slowly */
    const long start_ns = 60000000;
#endif
    unsigned seed = 23, n_killed = 0;

    (void)state;
    for (int i = 0; i < harness_repeats(300); i++) {
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "sleep", "100"}};
        const struct timespec pause = {.tv_nsec = 300000 + rand_r(&seed) % start_ns};
        pid_t children[2] = {0};
        int output, errors, status;
        pid_t pid = harness_start(&run, &output, &errors);

        nanosleep(&pause, NULL);
        if (children_of(pid, children, 2) > 0) {
            if (i % 3 == 0 && children[1] != 0) /* and the gate is stopped, so it cannot react */
                (void)kill(children[1], SIGSTOP);
            (void)kill(children[0], SIGKILL);
        } else {
            (void)kill(pid, SIGKILL);
        }
        close(output);
        close(errors);
        /* If the kill came too late, a command runs, or it is stopped and utsrun too. */
        for (int j = 0; j < 1000 && waitpid(pid, &status, WNOHANG) == 0; j++) {
            usleep(10000);
            if (j != 30)
                continue;
            for (size_t child = children_of(pid, children, 2); child > 0; child--)
                (void)kill(children[child - 1], SIGCONT);
            (void)kill(pid, SIGCONT);
            (void)kill(pid, SIGTERM);
        }
        n_killed += WIFEXITED(status) && WEXITSTATUS(status) == 125;
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
    print_message("of 300 brokers %u were killed before they answered\n", n_killed);
    assert_true(n_killed > 5);
}

/* An alarm survives execve(2): without utsrun it would have ended the command. */
static void set_alarm(void *context) {
    (void)context;
    alarm(1);
}

static void a_pending_alarm_ends_the_command(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "sleep", "100"},
                            .set_up = set_alarm};

    (void)state;
    harness_run(&run, &result);
    assert_true(WIFSIGNALED(result.status));
    assert_int_equal(WTERMSIG(result.status), SIGALRM);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* utsrun must not wait for a child that its process had before execve(2). */
static void leave_a_child(void *context) {
    (void)context;
    if (fork() == 0) {
        const struct timespec pause = {.tv_sec = 1};

        close(1);
        close(2);
        nanosleep(&pause, NULL);
        _exit(9);
    }
}

static void earlier_children_of_utsrun_change_nothing(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "sh", "-c", "exit 3"},
                            .set_up = leave_a_child};

    (void)state;
    harness_run(&run, &result);
    harness_assert_exit(&result, 3);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* The children of the service that are allowed here: the ready session and its gate. */
static bool command_is_the_services_child(void *context) {
    const struct running *running = context;
    pid_t children[4];

    return harness_count_processes(USER_WITHOUT_NAME->uid) == SERVICE_PROCESSES + 2 &&
           service_children(harness_service_of(USER_WITHOUT_NAME)->pid, children, 4) == 3 &&
           (children[0] == running->command || children[1] == running->command ||
            children[2] == running->command);
}

static void the_session_ends_before_the_command_runs(void **state) {
    struct running running = start_recorder(NULL);

    (void)state;
    if (!harness_wait_for(command_is_the_services_child, &running)) {
        harness_print_processes(USER_WITHOUT_NAME->uid);
        fail_msg("the command %d is not the only child", (int)running.command);
    }
    end_recorder(&running);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* Sends utsrun a signal, which ends its command, if there is one; utsrun must end then. */
static int end_gently(pid_t pid) {
    int status = -1;

    for (int i = 0; i < 1000 && waitpid(pid, &status, WNOHANG) == 0; i++) {
        if (i % 5 == 3) {
            (void)kill(pid, SIGCONT);
            (void)kill(pid, SIGTERM);
        }
        usleep(10000);
    }
    return status;
}

/* The service's children are a session, its gate, which becomes the command, the next session, and
 * the zygote. */
static void a_session_or_gate_that_is_killed_at_any_moment_leaves_nothing(void **state) {
#ifdef NDEBUG
    const unsigned start_us = 3000;
#else /* a sanitizer's runtime starts slowly */
    const unsigned start_us = 60000;
#endif
    const struct test_service *service = harness_service_of(USER_WITHOUT_NAME);
    unsigned seed = 29, n_refused = 0, n_killed = 0;

    (void)state;
    for (int i = 0; i < harness_repeats(400); i++) {
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "sleep", "100"}};
        pid_t children[8] = {0};
        int output, errors, status;
        pid_t pid = harness_start(&run, &output, &errors);
        size_t n, victim;

        usleep((unsigned)rand_r(&seed) % start_us);
        n = children_of(service->pid, children, 8);
        victim = n > 0 ? (size_t)rand_r(&seed) % n : 0;
        if (i % 3 == 0 && n > 1) /* a stopped gate, which cannot react */
            (void)kill(children[(victim + 1) % n], SIGSTOP);
        if (n > 0)
            (void)kill(children[victim], SIGKILL);
        if (i % 3 == 0 && n > 1)
            (void)kill(children[(victim + 1) % n], SIGCONT);
        status = end_gently(pid);
        n_refused += WIFEXITED(status) && WEXITSTATUS(status) == 125;
        n_killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        close(output);
        close(errors);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
    print_message("of 100, %u ended without an answer, %u commands were killed\n", n_refused,
                  n_killed);
    assert_true(n_refused + n_killed > 2);
}

/*
 * utsrun gets SIGKILL: before it knows of its command, no command is left; later the command lives
 * on.
 */
static void a_launcher_that_is_killed_at_any_moment_affects_nobody_else(void **state) {
    unsigned seed = 31, n_lived = 0;

    (void)state;
    for (int i = 0; i < harness_repeats(400); i++) {
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "sleep", "100"}};
        int output, errors, status;
        pid_t pid = harness_start(&run, &output, &errors), children[3] = {0};
        size_t n;

        usleep((unsigned)rand_r(&seed) % 4000);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        close(output);
        close(errors);
        usleep(5000);
        /* The command, if there is one, is killed; the service makes the next session again. */
        n = service_children(harness_service_of(USER_WITHOUT_NAME)->pid, children, 3);
        n_lived += n == 3;
        while (n > 0)
            (void)kill(children[--n], SIGKILL);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
    print_message("of 100 commands %u lived without their launcher\n", n_lived);
}

/* Waits for the line "ready"; if the output ends instead, says what utsrun has said. */
static void assert_ready(int output, int errors) {
    char text[512] = "";
    ssize_t n = read(output, text, strlen("ready\n"));

    if (n == (ssize_t)strlen("ready\n") && strcmp(text, "ready\n") == 0)
        return;
    n = read(errors, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    fail_msg("utsrun did not begin: %s", text);
}

/* True if the kernel tells how a process has ended to others than its parent. */
static bool kernel_tells_exit(void) {
    struct utsname names;
    unsigned major = 0, minor = 0;

    assert_int_equal(uname(&names), 0);
    assert_int_equal(sscanf(names.release, "%u.%u", &major, &minor), 2);
    return major > 6 || (major == 6 && minor >= 15);
}

/* Waits for @pid. This process reaps orphans, as the first process of a machine does. */
static int wait_among_orphans(pid_t pid) {
    int status;
    pid_t reaped;

    do
        reaped = waitpid(-1, &status, 0);
    while (reaped > 0 && reaped != pid);
    assert_int_equal(reaped, pid);
    return status;
}

/* Before Linux 6.15 utsrun cannot know the status, and says so. */
static void a_service_that_dies_leaves_the_command_and_its_status(void **state) {
    static const struct {
        char *script;
        int status; /* of wait(2) */
    } cases[] = {
        {"echo ready; sleep 0.3; exit 0", 0},
        {"echo ready; sleep 0.3; exit 7", 7 << 8},
        {"echo ready; sleep 0.3; exit 255", 255 << 8},
        {"echo ready; sleep 0.3; kill -11 $$", SIGSEGV},
    };
    char *const options[] = {"--idle-exit", "0", NULL};
    const bool is_known = kernel_tells_exit();

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "sh", "-c", cases[i].script}};
        struct test_service service = *harness_service_of(USER_WITHOUT_NAME);
        int output, errors, status;
        pid_t pid = harness_start(&run, &output, &errors);

        assert_ready(output, errors);
        assert_int_equal(kill(service.pid, SIGKILL), 0);
        assert_int_equal(waitpid(service.pid, NULL, 0), service.pid);
        status = wait_among_orphans(pid);
        if (status != (is_known ? cases[i].status : 125 << 8))
            fail_msg("%s: wait status 0x%x", cases[i].script, (unsigned)status);
        if (!is_known)
            assert_non_null(strstr(harness_read_line(errors), "only Linux 6.15 or newer knows it"));
        close(output);
        close(errors);
        close(service.listen_fd);
        service_start(harness_service_of(USER_WITHOUT_NAME), USER_WITHOUT_NAME, service.path,
                      options);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

enum { N_AT_ONCE = 200 };

static void two_hundred_commands_at_once_end_with_their_own_status(void **state) {
    static pid_t pids[N_AT_ONCE];
    static int outputs[N_AT_ONCE], errors[N_AT_ONCE];

    (void)state;
    for (int i = 0; i < N_AT_ONCE; i++) {
        char script[64];
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "sh", "-c", script}};

        snprintf(script, sizeof(script), "echo %d; read x; exit %d", i, i);
        pids[i] = harness_start(&run, &outputs[i], &errors[i]);
    }
    for (int i = 0; i < N_AT_ONCE; i++) {
        int status;

        assert_int_equal(atoi(harness_read_line(outputs[i])), i);
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, i << 8);
        close(outputs[i]);
        close(errors[i]);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_exit_code_passes),
    cmocka_unit_test(utsrun_dies_by_the_commands_signal_without_a_core),
    cmocka_unit_test(commands_that_cannot_be_executed_have_the_usual_codes),
    cmocka_unit_test(a_program_that_cannot_start_says_what_is_missing),
    cmocka_unit_test(a_program_without_its_loader_is_told),
    cmocka_unit_test(signals_sent_to_utsrun_reach_the_command_once),
    cmocka_unit_test(ignored_signals_stay_ignored),
    cmocka_unit_test(a_stopped_command_stops_utsrun_and_both_continue),
    cmocka_unit_test(after_a_pause_utsrun_follows_the_commands_last_state),
    cmocka_unit_test(the_command_may_handle_an_interrupt_of_the_group),
    cmocka_unit_test(an_interrupt_of_the_group_at_any_moment_ends_all),
    cmocka_unit_test(timeout_leaves_nothing_behind),
    cmocka_unit_test(a_signal_at_any_moment_ends_all),
    cmocka_unit_test(a_pending_alarm_ends_the_command),
    cmocka_unit_test(earlier_children_of_utsrun_change_nothing),
    cmocka_unit_test(two_hundred_commands_at_once_end_with_their_own_status),
};

static const struct CMUnitTest direct_tests[] = {
    cmocka_unit_test(the_broker_ends_before_the_command_runs),
    cmocka_unit_test(a_broker_that_is_killed_at_any_moment_leaves_no_command),
};

static const struct CMUnitTest service_tests[] = {
    cmocka_unit_test(the_session_ends_before_the_command_runs),
    cmocka_unit_test(a_session_or_gate_that_is_killed_at_any_moment_leaves_nothing),
    cmocka_unit_test(a_launcher_that_is_killed_at_any_moment_affects_nobody_else),
    cmocka_unit_test(a_service_that_dies_leaves_the_command_and_its_status),
};

HARNESS_MAIN_OF_BOTH(tests, direct_tests, service_tests, harness_set_up, harness_tear_down)
