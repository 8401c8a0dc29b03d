/*
 * What a script hears on --status-fd, that a command ends with its launcher if that was asked for,
 * and what is said of the policy without a command.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/integration/harness.h"

static int status_write_end; /* of the pipe that the next utsrun gets as 9 */

static void give_status_fd(void *context) {
    (void)context;
    if (dup2(status_write_end, 9) != 9)
        _exit(99);
}

/* The next utsrun gets the writing end as 9: returns the reading end. */
static int status_pipe_open(int flags) {
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | flags), 0);
    status_write_end = fcntl(ends[1], F_DUPFD_CLOEXEC, 300); /* the harness closes those below */
    assert_true(status_write_end >= 300);
    close(ends[1]);
    return ends[0];
}

/* Runs utsrun with --status-fd 9; what came there is in @status. */
static const struct result *run_with_status(char *const arguments[], char *status, size_t size) {
    static struct result result;
    struct run run = {.user = USER_WITHOUT_NAME,
                      .argv = {UTSRUN_PATH, "--status-fd", "9"},
                      .set_up = give_status_fd};
    size_t length = 0;
    ssize_t n;
    int reader = status_pipe_open(0);

    for (size_t i = 0; arguments[i] != NULL; i++)
        run.argv[i + 3] = arguments[i];
    harness_run(&run, &result);
    close(status_write_end);
    while ((n = read(reader, status + length, size - 1 - length)) > 0)
        length += (size_t)n;
    close(reader);
    status[length] = '\0';
    return &result;
}

/* One name, both, and one that JSON must escape; how the command ends; what it says of itself. */
static void each_launch_is_two_lines_of_json(void **state) {
    static const struct {
        char *arguments[10];
        const char *names, *rule, *end;
        int code; /* of utsrun; negative: a signal */
    } cases[] = {
        {{"-n", "x.test", "sh", "-c", "echo $$; readlink /proc/self/ns/uts"},
         "\"hostname\":\"x.test\",\"domainname\":null",
         POLICY_FOLDER_VENDOR "/50-default.conf:15",
         "\"exit\":0,\"signal\":null",
         0},
        {{"-n", "x.test", "-d", "y.test", "sh", "-c",
          "echo $$; readlink /proc/self/ns/uts; exit 7"},
         "\"hostname\":\"x.test\",\"domainname\":\"y.test\"",
         POLICY_FOLDER_VENDOR "/50-default.conf:15",
         "\"exit\":7,\"signal\":null",
         7},
        {{"-n", "a\"b\\c", "sh", "-c", "echo $$; readlink /proc/self/ns/uts; kill -9 $$"},
         "\"hostname\":\"a\\u0022b\\u005cc\",\"domainname\":null",
         POLICY_FOLDER_ADMIN "/10-test.conf:1",
         "\"exit\":null,\"signal\":9",
         -9},
    };

    (void)state;
    policy_write("10-test.conf", "permit any hostname \"a\\\"b\\\\c\"");
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char status[4096], expected[4096];
        const struct result *result = run_with_status(cases[i].arguments, status, sizeof(status));
        int pid = 0;
        uint64_t uts = 0;

        assert_int_equal(sscanf(result->output, "%d\nuts:[%" SCNu64 "]\n", &pid, &uts), 2);
        snprintf(expected, sizeof(expected),
                 "{\"event\":\"running\",\"pid\":%d,\"uts\":%" PRIu64
                 ",%s,\"mode\":\"%s\",\"rule\":\"%s\"}\n{\"event\":\"ended\",%s}\n",
                 pid, uts, cases[i].names, harness_mode(), cases[i].rule, cases[i].end);
        assert_string_equal(status, expected);
        if (cases[i].code >= 0)
            harness_assert_exit(result, cases[i].code);
        else
            assert_true(WIFSIGNALED(result->status) && WTERMSIG(result->status) == -cases[i].code);
    }
    policy_clear();
}

/* However short it lives: the gate says where it is, and not the launcher finds out. */
static void the_shortest_command_has_its_namespace_told(void **state) {
    static char *const arguments[] = {"-n", "x.test", "true", NULL};

    (void)state;
    for (int i = 0; i < harness_repeats(50); i++) {
        char status[4096];
        uint64_t uts = 0;

        harness_assert_exit(run_with_status(arguments, status, sizeof(status)), 0);
        assert_int_equal(sscanf(strstr(status, "\"uts\":"), "\"uts\":%" SCNu64, &uts), 1);
        assert_true(uts > 1);
    }
}

static void the_command_has_not_the_descriptor(void **state) {
    static char *const arguments[] = {"-n", "x.test", "sh", "-c", "ls /proc/self/fd", NULL};
    char status[4096];
    const struct result *result = run_with_status(arguments, status, sizeof(status));

    (void)state;
    harness_assert_exit(result, 0);
    assert_null(strstr(result->output, "9"));
}

static void what_does_not_run_is_told_by_nothing(void **state) {
    static const struct {
        char *arguments[8];
        int code;
    } cases[] = {{{"-n", "evil", "true"}, 125}, {{"-n", "x.test", "/no/such/file"}, 127}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char status[4096];

        harness_assert_exit(run_with_status(cases[i].arguments, status, sizeof(status)),
                            cases[i].code);
        assert_string_equal(status, "");
    }
}

/* Nobody reads: the command is what matters. */
static void a_reader_that_is_gone_changes_nothing(void **state) {
    static struct result result;
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "--status-fd", "9", "-n", "x.test", "sh", "-c", "echo ran; exit 5"},
        .set_up = give_status_fd};

    (void)state;
    close(status_pipe_open(0));
    harness_run(&run, &result);
    close(status_write_end);
    harness_assert_exit(&result, 5);
    assert_string_equal(result.output, "ran\n");
}

/* Nor does one that does not read. */
static void a_reader_that_does_not_read_changes_nothing(void **state) {
    static struct result result;
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "--status-fd", "9", "-n", "x.test", "sh", "-c", "echo ran; exit 5"},
        .set_up = give_status_fd};
    char filling[4096] = {0};
    int reader = status_pipe_open(O_NONBLOCK);

    (void)state;
    while (write(status_write_end, filling, sizeof(filling)) > 0)
        ;
    assert_int_equal(fcntl(status_write_end, F_SETFL, 0), 0);
    (void)alarm(20); /* it would wait for ever */
    harness_run(&run, &result);
    (void)alarm(0);
    close(status_write_end);
    close(reader);
    harness_assert_exit(&result, 5);
}

static void a_descriptor_that_cannot_be_one_is_a_usage_error(void **state) {
    static char *const numbers[] = {"", "x", "-1", "2", "0", "8", "3x", "99999999999", " 9"};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(numbers); i++) {
        static struct result result;
        const struct run run = {
            .user = USER_WITHOUT_NAME,
            .argv = {UTSRUN_PATH, "--status-fd", numbers[i], "-n", "x.test", "true"}};
        char expected[128];

        snprintf(expected, sizeof(expected),
                 "utsrun: --status-fd '%s' is no open descriptor above 2; open one, for example: "
                 "3>status.json\n",
                 numbers[i]);
        harness_run(&run, &result);
        harness_assert_exit(&result, 125);
        assert_string_equal(result.errors, expected);
    }
}

/* A parent, utsrun, and a command that says its pid. @killed is killed; returns the command's pid,
 * which the caller can wait for the end of. */
enum killed { THE_PARENT, UTSRUN };

static pid_t kill_one_of(enum killed killed, bool dies, int *pidfdp) {
    struct run run = {.user = USER_WITHOUT_NAME,
                      .argv = {UTSRUN_PATH, "-n", "x.test", "--die-with-parent", "--", "sh", "-c",
                               "echo $$; exec sleep 100"}};
    char *const without[] = {
        UTSRUN_PATH, "-n", "x.test", "--", "sh", "-c", "echo $$; exec sleep 100", NULL};
    int numbers[2], output, errors, status;
    pid_t pids[2], parent, command;

    if (!dies)
        memcpy(run.argv, without, sizeof(without));
    assert_int_equal(pipe2(numbers, O_CLOEXEC), 0);
    parent = fork();
    if (parent == 0) {
        pids[0] = harness_start(&run, &output, &errors);
        pids[1] = atoi(harness_read_line(output));
        if (write(numbers[1], pids, sizeof(pids)) != sizeof(pids))
            _exit(1);
        for (;;)
            pause();
    }
    close(numbers[1]);
    assert_int_equal(read(numbers[0], pids, sizeof(pids)), sizeof(pids));
    close(numbers[0]);
    command = pids[1];
    *pidfdp = (int)syscall(SYS_pidfd_open, command, 0);
    assert_true(*pidfdp >= 0);
    if (!dies)
        usleep(500000); /* whoever goes before the reply was there has no command either way */
    assert_int_equal(kill(killed == UTSRUN ? pids[0] : parent, SIGKILL), 0);
    if (killed == UTSRUN)
        usleep(100000);
    (void)kill(parent, SIGKILL);
    assert_int_equal(waitpid(parent, &status, 0), parent);
    return command;
}

static bool has_ended(int pidfd, int timeout_ms) {
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};

    return poll(&ended, 1, timeout_ms) == 1;
}

static void a_command_ends_with_its_launcher_if_asked_for(void **state) {
    static const struct {
        enum killed killed;
        bool dies;
    } cases[] = {{THE_PARENT, true}, {UTSRUN, true}, {THE_PARENT, false}, {UTSRUN, false}};

    (void)state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        int pidfd;
        pid_t command = kill_one_of(cases[i].killed, cases[i].dies, &pidfd);

        if (has_ended(pidfd, cases[i].dies ? 10000 : 300) != cases[i].dies)
            fail_msg("case %zu", i);
        if (!cases[i].dies)
            (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        close(pidfd);
        /* utsrun, where only its parent was killed and nothing was asked for. */
        for (int j = 0; j < 100 && waitpid(-1, NULL, WNOHANG) >= 0; j++)
            usleep(10000);
        (void)command;
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

/* At any moment of a launch: either there is no command, or it ends. */
static void a_launcher_that_is_killed_early_leaves_no_command(void **state) {
    unsigned seed = 37;

    (void)state;
    for (int i = 0; i < harness_repeats(200); i++) {
        const struct run run = {
            .user = USER_WITHOUT_NAME,
            .argv = {UTSRUN_PATH, "--die-with-parent", "-n", "x.test", "sleep", "100"}};
        int output, errors, status;
        pid_t pid = harness_start(&run, &output, &errors);

        usleep((unsigned)rand_r(&seed) % 4000);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        close(output);
        close(errors);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
}

static void what_may_be_had_is_said_without_a_command(void **state) {
    static const struct {
        char *arguments[8];
        const char *direct, *service; /* NULL: the same */
        int code, code_of_service;
    } cases[] = {
        {{"-l"},
         POLICY_FOLDER_ADMIN
         "/10-test.conf:1: permit  user 54321  hostname lab*\n" POLICY_FOLDER_ADMIN
         "/10-test.conf:2: permit  user 54321  hostname many*  limit 3\n"                 //
         POLICY_FOLDER_ADMIN "/10-test.conf:3: permit  user 54321  hostname su  setuid\n" //
         POLICY_FOLDER_VENDOR "/50-default.conf:15: permit  any  hostname *.test *.example "
         "\"In Namespace\"  domainname *.test *.example\n",
         NULL,
         0,
         0},
        {{"--list"}, POLICY_FOLDER_ADMIN "/10-test.conf:1: ", NULL, 0, 0},
        {{"-c", "-n", "lab1"},
         "permitted: you, host name 'lab1', by " POLICY_FOLDER_ADMIN "/10-test.conf:1\n",
         NULL,
         0,
         0},
        {{"--check", "-n", "x.test", "-d", "y.test"},
         "permitted: you, host name 'x.test', NIS domain name 'y.test', by " POLICY_FOLDER_VENDOR
         "/50-default.conf:15\n",
         NULL,
         0,
         0},
        {{"-c", "-n", "evil"},
         "denied: you, host name 'evil': no rule permits it; nearest permitted names: lab*, "
         "many*, su\n",
         NULL,
         125,
         125},
        {{"-c", "-n", "many1"},
         "permitted: you, host name 'many1', by " POLICY_FOLDER_ADMIN "/10-test.conf:2 (limit 3: "
         "counted by the ledger in both modes; refused without a ledger)\n",
         NULL,
         0,
         0},
        {{"-c", "-n", "su"},
         "permitted: you, host name 'su', by " POLICY_FOLDER_ADMIN
         "/10-test.conf:3 (only in direct mode: the service does not support setuid)\n",
         "denied: you, host name 'su', by " POLICY_FOLDER_ADMIN
         "/10-test.conf:3 (only in direct mode: the service does not support setuid)\n",
         0,
         125},
    };

    (void)state;
    policy_write("10-test.conf", "permit user 54321 hostname lab*\n"
                                 "permit user 54321 hostname many* limit 3\n"
                                 "permit user 54321 hostname su setuid\n"
                                 "permit user 65534 hostname other*");
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        struct run run = {.user = USER_WITHOUT_NAME, .argv = {UTSRUN_PATH}};
        bool is_other = harness_is_service() && cases[i].service != NULL;

        for (size_t j = 0; j < BASE_ARRAY_SIZE(cases[i].arguments); j++)
            run.argv[j + 1] = cases[i].arguments[j];
        harness_run(&run, &result);
        harness_assert_exit(&result,
                            harness_is_service() ? cases[i].code_of_service : cases[i].code);
        if (strstr(result.output, is_other ? cases[i].service : cases[i].direct) != result.output)
            fail_msg("%s %s: %s", cases[i].arguments[0], cases[i].arguments[1], result.output);
        assert_string_equal(result.errors, "");
    }
    policy_clear();
}

static void ignore_children(void *context) {
    (void)context;
    (void)signal(SIGCHLD, SIG_IGN);
}

/* As daemons do, and what they start inherits it. */
static void a_caller_that_ignores_its_children_is_told_as_well(void **state) {
    static const struct {
        char *arguments[6];
        int code;
        const char *output, *errors;
    } cases[] = {{{"-c", "-n", "x.test"}, 0, "permitted: you", ""},
                 {{"-c", "-n", "evil"}, 125, "denied: you", ""},
                 {{"-n", "evil", "true"}, 125, "", "nearest names that rules permit: *.test"}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        struct run run = {
            .user = USER_WITHOUT_NAME, .argv = {UTSRUN_PATH}, .set_up = ignore_children};

        for (size_t j = 0; j < BASE_ARRAY_SIZE(cases[i].arguments); j++)
            run.argv[j + 1] = cases[i].arguments[j];
        harness_run(&run, &result);
        harness_assert_exit(&result, cases[i].code);
        assert_non_null(strstr(result.output, cases[i].output));
        assert_non_null(strstr(result.errors, cases[i].errors));
    }
}

/* Whoever cannot be told of rules is told why, with the place; the broker would refuse as well. */
static void a_policy_that_cannot_be_used_is_said_to_be_so(void **state) {
    static const struct {
        char *arguments[4];
        int code;
    } cases[] = {{{"-l"}, 2}, {{"-c", "-n", "x.test"}, 125}};

    (void)state;
    policy_write("10-test.conf", "nonsense");
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        struct run run = {.user = USER_WITHOUT_NAME, .argv = {UTSRUN_PATH}};

        for (size_t j = 0; j < BASE_ARRAY_SIZE(cases[i].arguments); j++)
            run.argv[j + 1] = cases[i].arguments[j];
        harness_run(&run, &result);
        harness_assert_exit(&result, cases[i].code);
        assert_string_equal(result.output, "");
        assert_non_null(strstr(result.errors, "/10-test.conf:1:1: a rule begins with"));
    }
    policy_clear();
}

/* A misspelled name in the installed policy is warned of. */
static void names_that_nobody_knows_are_warned_of(void **state) {
    static struct result result;
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {"/bin/sh", "-c", "exec \"${0%/*}/utspolicy\" check --strict", UTSRUN_PATH}};

    (void)state;
    policy_write("10-test.conf", "permit user nosuchuser hostname a\ndeny group nosuchgroup");
    harness_run(&run, &result);
    harness_assert_exit(&result, 1);
    assert_non_null(strstr(result.errors,
                           "/10-test.conf:1:13: warning: no user nosuchuser is known "
                           "here: this permit rule ignores the name [unknown]\n"));
    assert_non_null(strstr(result.errors, "/10-test.conf:2:12: warning: no group nosuchgroup is "
                                          "known here: this deny rule applies to everybody "
                                          "[unknown]\n"));
    policy_clear();
}

static void to_know_of_the_policy_runs_nothing(void **state) {
    static char *const cases[][5] = {{"-l", "true"}, {"-c", "-n", "x.test", "true"}, {"-c"}};
    static const char *const messages[] = {"-c, -l and --ps run no command; leave it out",
                                           "-c, -l and --ps run no command; leave it out",
                                           "no name is given; use -n NAME"};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        struct run run = {.user = USER_WITHOUT_NAME, .argv = {UTSRUN_PATH}};

        for (size_t j = 0; j < BASE_ARRAY_SIZE(cases[i]); j++)
            run.argv[j + 1] = cases[i][j];
        harness_run(&run, &result);
        harness_assert_exit(&result, 125);
        assert_non_null(strstr(result.errors, messages[i]));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_launch_is_two_lines_of_json),
    cmocka_unit_test(the_shortest_command_has_its_namespace_told),
    cmocka_unit_test(the_command_has_not_the_descriptor),
    cmocka_unit_test(what_does_not_run_is_told_by_nothing),
    cmocka_unit_test(a_reader_that_is_gone_changes_nothing),
    cmocka_unit_test(a_reader_that_does_not_read_changes_nothing),
    cmocka_unit_test(a_descriptor_that_cannot_be_one_is_a_usage_error),
    cmocka_unit_test(a_command_ends_with_its_launcher_if_asked_for),
    cmocka_unit_test(a_launcher_that_is_killed_early_leaves_no_command),
    cmocka_unit_test(what_may_be_had_is_said_without_a_command),
    cmocka_unit_test(a_policy_that_cannot_be_used_is_said_to_be_so),
    cmocka_unit_test(a_caller_that_ignores_its_children_is_told_as_well),
    cmocka_unit_test(names_that_nobody_knows_are_warned_of),
    cmocka_unit_test(to_know_of_the_policy_runs_nothing),
};

static const struct CMUnitTest of_one_way[] = {HARNESS_NO_TEST};

HARNESS_MAIN_OF_BOTH(tests, of_one_way, of_one_way, harness_set_up, harness_tear_down)
