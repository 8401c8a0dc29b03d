/* utsrsh, as programs call it that take it for ssh(1). */

#include <fcntl.h>
#include <pty.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/integration/harness.h"

enum { FAILED = 255 };

#define ENVIRONMENT "PATH=/usr/bin:/bin", "HOME=/usr", "SHELL=/bin/sh"
static char *usual[] = {ENVIRONMENT, NULL};
static char *bash[] = {"HOME=/usr", "SHELL=/bin/bash", "PATH=/usr/bin:/bin", NULL};

/* Runs "utsrsh WORDS..."; the result is in a static buffer. */
static const struct result *ask(char *const words[], char **environment, const char *input,
                                void (*set_up)(void *context)) {
    static struct result result;
    struct run run = {.user = USER_WITHOUT_NAME,
                      .argv = {UTSRSH_PATH},
                      .environment = environment != NULL ? environment : usual,
                      .input = input,
                      .set_up = set_up};

    for (size_t i = 0; words[i] != NULL; i++)
        run.argv[i + 1] = words[i];
    harness_run(&run, &result);
    return &result;
}

struct line {
    char *words[12];
    int code;
    const char *output, *errors; /* what standard error contains; NULL: nothing is written */
    char *variable;              /* one more of the environment */
    const char *input;
};

static void assert_lines(const struct line *lines, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char *environment[] = {ENVIRONMENT, lines[i].variable, NULL};
        const struct result *result = ask(lines[i].words, environment, lines[i].input, NULL);

        if (!WIFEXITED(result->status) || WEXITSTATUS(result->status) != lines[i].code ||
            strcmp(result->output, lines[i].output) != 0 ||
            (lines[i].errors != NULL ? strstr(result->errors, lines[i].errors) == NULL
                                     : result->errors[0] != '\0'))
            fail_msg("line %zu: status %x, '%s', '%s'", i, result->status, result->output,
                     result->errors);
    }
}

static void commands_run_as_by_ssh(void **state) {
    static const struct line lines[] = {
        {.words = {"n1.test", "uname", "-n"}, .output = "n1.test\n"},
        {.words = {"-x", "-oBatchMode=yes", "n1.test", "-T", "--", "uname -n"},
         .output = "n1.test\n"},
        {.words = {"n1.test", "echo", "a   b", "'c   d'"}, .output = "a b c   d\n"},
        {.words = {"n1.test", "\"echo\"", "$HOME"}, .output = "/usr\n"},
        {.words = {"n1.test", "exit 7"}, .code = 7, .output = ""},
        {.words = {"n1.test", "kill -9 $$"}, .code = FAILED, .output = ""},
        {.words = {"n1.test", "no-such-command"}, .code = 127, .output = "", .errors = "not found"},
        {.words = {"n1.test", "pwd"}, .output = "/usr\n"},
        {.words = {"n1.test", "cat"}, .output = "input", .input = "input"},
        {.words = {"-n", "n1.test", "cat"}, .output = "", .input = "input"},
        {.words = {"n1.test"}, .output = "-sh /usr n1.test\n", .input = "echo $0 $PWD $(uname -n)"},
        {.words = {"-oRemoteCommand=uname -n", "n1.test"}, .output = "n1.test\n"},
        {.words = {"-oHostName=n2.test", "n1", "uname -n"}, .output = "n2.test\n"},
        /* No descriptor is added. */
        {.words = {"n1.test", "echo /proc/self/fd/*"},
         .output = "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n"},
        {.words = {"-v", "n1.test", "true"}, .output = "", .errors = "utsrsh: granted by "},
        {.words = {"-l", "54321", "n1.test", "id -u"}, .output = "54321\n"},
        {.words = {"54321@n1.test", "id -u"}, .output = "54321\n"},
        {.words = {"carol@n1.test", "id -u"}, .output = "54321\n", .variable = "USER=carol"},
        {.words = {"-G", "-p", "22", "carol@n1"},
         .output = "host n1\nuser carol\nhostname n1\nport 22\n"},
        {.words = {"-O", "check", "n1"}, .output = ""},
        {.words = {"-V"}, .output = "", .errors = "utsrsh "},
    };

    (void)state;
    assert_lines(lines, BASE_ARRAY_SIZE(lines));
}

static void failures_of_its_own_are_255(void **state) {
    static const struct line lines[] = {
        {.words = {"evil.com", "true"}, .errors = "utsrsh: host name 'evil.com' denied: no rule"},
        {.words = {"a_b.test", "true"}, .errors = "utsrsh: host name 'a_b.test' refused: not a"},
        {.words = {"root@n1.test", "true"}, .errors = "utsrsh: user 'root' refused: a command"},
        {.words = {"-l", "nobody", "n1.test", "true"}, .errors = "utsrsh: user 'nobody' refused"},
        {.words = {"-L", "1:a:2", "n1.test"}, .errors = "utsrsh: -L asks to forward"},
        {.words = {"-z"}, .errors = "utsrsh: -z is no option of ssh"},
        {.words = {NULL}, .errors = "utsrsh: no host is given"},
        {.words = {"-s", "n1.test", "other"}, .errors = "utsrsh: there is no such subsystem"},
        {.words = {"n1.test", "true"},
         .errors = "utsrsh: UTSRSH_VIA='ssh' is no mode",
         .variable = "UTSRSH_VIA=ssh"},
        {.words = {"n[1-2].test", "echo", "a b"},
         .errors = "utsrsh: 'n[1-2].test' is a list of hosts, and one is needed; to run the "
                   "command on each, use: pdsh -R exec -w 'n[1-2].test' utsrsh %h echo 'a b'\n"},
        {.words = {"-f", "evil.com", "true"}, .errors = "utsrsh: host name 'evil.com' denied"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(lines); i++) {
        struct line line = lines[i];

        line.code = FAILED;
        line.output = "";
        assert_lines(&line, 1);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void a_name_without_a_dot_is_completed(void **state) {
    static const struct line lines[] = {
        {.words = {"n1", "uname -n"}, .output = "n1.test\n"},
        {.words = {"-n", "n1", "uname -n"},
         .output = "n1.example\n",
         .variable = "UTSRSH_SEARCH=invalid,example test"},
        {.words = {"plain", "uname -n"}, .output = "plain\n"},
        {.words = {"n1", "true"},
         .code = FAILED,
         .output = "",
         .errors = "utsrsh: host name 'n1' denied: no rule permits it",
         .variable = "UTSRSH_SEARCH="},
        {.words = {"n1", "true"},
         .code = FAILED,
         .output = "",
         .errors = "utsrsh: host name 'n1' denied: no rule permits it",
         .variable = "UTSRSH_SEARCH=invalid example.com"},
        {.words = {"n1.t", "true"},
         .code = FAILED,
         .output = "",
         .errors = "utsrsh: host name 'n1.t' denied: no rule permits it"},
        /* A refusal that no other name helps ends the search. */
        {.words = {"a_b", "true"},
         .code = FAILED,
         .output = "",
         .errors = "utsrsh: host name 'a_b' refused: not a valid host name"},
    };

    (void)state;
    policy_write("40-plain.conf", "permit any hostname plain\n");
    assert_lines(lines, BASE_ARRAY_SIZE(lines));
    policy_clear();
}

static void open_many(void *context) {
    (void)context;
    for (int i = 0; i < 300; i++)
        if (open("/dev/null", O_RDONLY) < 0)
            _exit(203);
}

/* More than the service can pass on: MPICH leaves as many open in its launchers. */
static void descriptors_above_2_are_closed(void **state) {
    char *const words[] = {"n1.test", "ls /proc/self/fd | wc -l", NULL};
    const struct result *result = ask(words, NULL, NULL, open_many);

    (void)state;
    harness_assert_exit(result, 0);
    assert_string_equal(result->output, "4\n"); /* and ls's own */
}

static void enter_tmp(void *context) {
    (void)context;
    if (chdir("/tmp") < 0)
        _exit(203);
}

static void the_working_directory_can_be_kept(void **state) {
    static char *environment[] = {ENVIRONMENT, "UTSRSH_CWD=keep", NULL};
    char *const words[] = {"n1.test", "pwd", NULL};

    (void)state;
    assert_string_equal(ask(words, environment, NULL, enter_tmp)->output, "/tmp\n");
    assert_string_equal(ask(words, usual, NULL, enter_tmp)->output, "/usr\n");
}

static void ignore_child(void *context) {
    (void)context;
    (void)signal(SIGCHLD, SIG_IGN);
}

/* The second attempt finds all as the first one did. */
static void an_ignored_signal_stays_ignored_after_a_refusal(void **state) {
    /* A shell would handle the signal itself: here it is the probe, which writes to the file -c. */
    static char *environment[] = {"HOME=/tmp", "SHELL=" PROBE_PATH, NULL};
    char *const words[] = {"n1", "line", NULL};
    const struct result *result = ask(words, environment, NULL, ignore_child);
    char text[16384];
    FILE *file = fopen("/tmp/-c", "re");

    (void)state;
    harness_assert_exit(result, 0);
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    assert_int_equal(unlink("/tmp/-c"), 0);
    assert_non_null(strstr(text, "SigBlk:\t0000000000000000\n"));
    assert_non_null(strstr(text, "SigIgn:\t0000000000010000\n"));
}

/* Starts a command with children. An empty line says that they are there. Returns utsrsh. */
static pid_t tree_start(char *script, int *output_fdp, int *errors_fdp) {
    const struct run run = {
        .user = USER_WITHOUT_NAME, .argv = {UTSRSH_PATH, "n1.test", script}, .environment = usual};
    pid_t pid = harness_start(&run, output_fdp, errors_fdp);

    assert_string_equal(harness_read_line(*output_fdp), "");
    return pid;
}

/* As when the connection of ssh(1) breaks; only surely, and with all of the process group. */
static void a_command_hangs_up_with_utsrsh(void **state) {
    static const int signals[] = {SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGUSR1};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(signals); i++) {
        int output, errors, status;
        pid_t pid = tree_start("sleep 1000 & sleep 1000 & echo; wait; true", &output, &errors);

        assert_int_equal(kill(pid, signals[i]), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
        close(output);
        close(errors);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
}

/* A shell with job control, and GNU parallel on a host, make process groups of their own. */
static void jobs_hang_up_with_utsrsh(void **state) {
    static char *const scripts[] = {
        "set -m; sleep 1000 & echo; wait; sleep 1000",
        "set -m; (set -m; sleep 1000 & sleep 1000 & echo; wait; sleep 1000) & wait; sleep 1000",
        "set -m; sleep 1000 & kill -STOP $!; echo; wait; sleep 1000",
    };
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(scripts) * BASE_ARRAY_SIZE(signals); i++) {
        const struct run run = {
            .user = USER_WITHOUT_NAME,
            .argv = {UTSRSH_PATH, "n1.test", scripts[i / BASE_ARRAY_SIZE(signals)]},
            .environment = bash};
        int output, errors, status, signal_number = signals[i % BASE_ARRAY_SIZE(signals)];
        pid_t pid = harness_start(&run, &output, &errors);

        assert_string_equal(harness_read_line(output), "");
        assert_int_equal(kill(pid, signal_number), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signal_number);
        close(output);
        close(errors);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
}

static bool has_sleep(void *context) {
    (void)context;
    return system("pgrep -u 54321 -x -r S sleep >/dev/null") == 0;
}

/* What wants to live on does. */
static void daemons_do_not_hang_up_with_utsrsh(void **state) {
    static char *const scripts[] = {"setsid sleep 1000 & sleep 0.1; echo; exec tail -f /dev/null",
                                    "nohup sleep 1000 & sleep 0.1; echo; exec tail -f /dev/null"};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(scripts); i++) {
        int output, errors, status;
        pid_t pid = tree_start(scripts[i], &output, &errors);

        assert_int_equal(kill(pid, SIGTERM), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        close(output);
        close(errors);
        usleep(100000);
        assert_true(has_sleep(NULL));
        assert_int_equal(system("pkill -KILL -u 54321 -x sleep"), 0);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
}

/* Whoever started utsrsh is killed: pdsh, clush, parallel. */
static void a_command_that_nobody_hears_of_hangs_up(void **state) {
    static const struct {
        const char *what;
        bool has_terminal, kills_parent, closes_errors, ends;
    } cases[] = {
        {"no reader, no parent", false, true, true, true},
        {"no parent", false, true, false, false},
        {"no reader", false, false, true, false},
        {"a terminal that is gone, no parent", true, true, true, false},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char script[512];
        const struct run run = {
            .user = USER_WITHOUT_NAME, .argv = {"/bin/bash", "-c", script}, .environment = usual};
        int output, errors, master, slave, status;
        pid_t pid;

        assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
        assert_int_equal(fchmod(slave, 0666), 0);
        snprintf(script, sizeof(script), "%s n1.test 'echo; exec sleep 1000' %s%s & wait",
                 UTSRSH_PATH, cases[i].has_terminal ? "2>" : "",
                 cases[i].has_terminal ? ttyname(slave) : "");
        pid = harness_start(&run, &output, &errors);
        assert_string_equal(harness_read_line(output), "");
        usleep(200000);
        close(slave);
        close(master);
        if (cases[i].closes_errors)
            close(errors);
        if (cases[i].kills_parent) {
            assert_int_equal(kill(pid, SIGKILL), 0);
            assert_int_equal(waitpid(pid, &status, 0), pid);
        }
        if (!cases[i].ends) {
            usleep(2500000); /* longer than utsrsh waits for the command to see it by itself */
            if (!has_sleep(NULL))
                fail_msg("%s: the command has ended", cases[i].what);
            assert_int_equal(system("pkill -KILL -u 54321 -x utsrsh"), 0);
        }
        if (!cases[i].kills_parent)
            assert_int_equal(waitpid(pid, &status, 0), pid);
        close(output);
        if (!cases[i].closes_errors)
            close(errors);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
}

/* A command that has something to do before it ends, as orted has. */
static void a_command_can_handle_the_hangup(void **state) {
    int output, errors, status;
    pid_t pid = tree_start("trap 'echo hangup; exit' HUP\n"
                           "sh -c 'echo; exec sleep 1000' & wait; true",
                           &output, &errors);

    (void)state;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_string_equal(harness_read_line(output), "hangup");
    close(output);
    close(errors);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* At any moment of a launch: there is no command, or it gets SIGHUP. */
static void utsrsh_that_is_killed_early_leaves_no_command(void **state) {
    unsigned seed = 41;

    (void)state;
    for (int i = 0; i < harness_repeats(100); i++) {
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRSH_PATH, "n1.test", "sleep 1000 & sleep 1000; true"},
                                .environment = usual};
        int output, errors, status;
        pid_t pid = harness_start(&run, &output, &errors);

        usleep((unsigned)rand_r(&seed) % 6000);
        assert_int_equal(kill(pid, i % 2 == 0 ? SIGKILL : SIGTERM), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        close(output);
        close(errors);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
}

/* What a command leaves behind on purpose lives on, as after ssh(1). */
static void what_a_command_leaves_behind_lives_on(void **state) {
    char *const words[] = {"n1.test", "sleep 1000 >/dev/null 2>&1 & echo $!", NULL};
    const struct result *result = ask(words, NULL, NULL, NULL);
    pid_t pid;

    (void)state;
    harness_assert_exit(result, 0);
    pid = atoi(result->output);
    assert_true(pid > 1);
    usleep(100000);
    assert_true(has_sleep(NULL));
    assert_int_equal(kill(pid, SIGKILL), 0);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void utsrsh_goes_to_the_background(void **state) {
    char *const words[] = {"-f", "n1.test", "echo $(cat); exec sleep 1000 >/dev/null 2>&1", NULL};
    const struct result *result = ask(words, NULL, "input", NULL);

    (void)state;
    harness_assert_exit(result, 0);
    assert_string_equal(result->errors, "");
    assert_true(harness_wait_for(has_sleep, NULL));
    assert_int_equal(system("pkill -KILL -u 54321 -x utsrsh"), 0);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void messages_go_to_a_file(void **state) {
    char *const words[] = {"-E", "/tmp/test-rsh.log", "evil.com", "true", NULL};
    char text[64] = "";
    const struct result *result;
    FILE *file;

    (void)state;
    (void)unlink("/tmp/test-rsh.log");
    result = ask(words, NULL, NULL, NULL);
    harness_assert_exit(result, FAILED);
    assert_string_equal(result->errors, "");
    file = fopen("/tmp/test-rsh.log", "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    assert_memory_equal(text, "utsrsh: host name 'evil.com' denied", 35);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(unlink("/tmp/test-rsh.log"), 0);
}

/* In the child: the pty's slave is its controlling terminal and its standard input. */
static void take_terminal(void *context) {
    int slave =
        setsid() < 0 ? -1 : open(context, O_RDWR); /* a leader's first terminal is its own */

    if (slave < 0 || dup2(slave, 0) < 0)
        _exit(203);
}

static void a_command_has_a_terminal_if_asked_for(void **state) {
    /* Whether it can open its terminal, and whether standard input is one. */
    static char script[] = "exec 2>/dev/null; (: </dev/tty) && echo -n yes,; test -t 0 && echo yes";
    static const struct {
        char *words[6];
        const char *output, *errors;
        bool has_terminal;
    } cases[] = {
        {{"n1.test", script}, "yes\n", "", true},
        {{"-T", "n1.test", script}, "yes\n", "", true},
        {{"-t", "n1.test", script}, "yes,yes\n", "", true},
        {{"-tt", "n1.test", script}, "yes,yes\n", "", true},
        {{"-oRequestTTY=force", "n1.test", script}, "yes,yes\n", "", true},
        {{"-n", "-t", "n1.test", script}, "", "", true},
        {{"-t", "n1.test", script}, "", "utsrsh: -t: there is no terminal here", false},
        {{"-tt", "n1.test", script}, "", "utsrsh: -t: there is no terminal here", false},
        {{"-q", "-tt", "n1.test", script}, "", "", false},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        struct run run = {.user = USER_WITHOUT_NAME, .argv = {UTSRSH_PATH}, .environment = usual};
        int master, slave;

        memcpy(run.argv + 1, cases[i].words, sizeof(cases[i].words));
        assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
        assert_int_equal(fchmod(slave, 0666), 0);
        if (cases[i].has_terminal) {
            run.set_up = take_terminal;
            run.context = ttyname(slave);
        }
        harness_run(&run, &result);
        if (strcmp(result.output, cases[i].output) != 0 ||
            strncmp(result.errors, cases[i].errors, strlen(cases[i].errors)) != 0 ||
            (cases[i].errors[0] == '\0' && result.errors[0] != '\0'))
            fail_msg("case %zu: '%s', '%s'", i, result.output, result.errors);
        close(master);
        close(slave);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
}

/* With a terminal a signal by somebody still ends utsrsh, and the command hangs up. */
static void a_command_with_a_terminal_hangs_up_with_utsrsh(void **state) {
    static char alone[] = "trap 'exit 3' HUP; sh -c 'echo; exec sleep 1000' & wait",
                job[] = "set -m; sleep 1000 & echo; wait; sleep 1000";
    static const struct {
        int signal_number;
        char *script;
    } cases[] = {
        {SIGKILL, alone}, {SIGTERM, alone}, {SIGHUP, alone}, {SIGTERM, job}, {SIGHUP, job}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        int master, slave, output, errors, status;
        struct run run = {.user = USER_WITHOUT_NAME,
                          .argv = {UTSRSH_PATH, "-t", "n1.test", cases[i].script},
                          .environment = bash,
                          .set_up = take_terminal};
        pid_t pid;

        assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
        assert_int_equal(fchmod(slave, 0666), 0);
        run.context = ttyname(slave);
        pid = harness_start(&run, &output, &errors);
        assert_string_equal(harness_read_line(output), "");
        assert_int_equal(kill(pid, cases[i].signal_number), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(cases[i].signal_number == SIGKILL
                        ? WIFSIGNALED(status)
                        : WIFEXITED(status) && WEXITSTATUS(status) == FAILED);
        close(master);
        close(slave);
        close(output);
        close(errors);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(commands_run_as_by_ssh),
    cmocka_unit_test(failures_of_its_own_are_255),
    cmocka_unit_test(a_name_without_a_dot_is_completed),
    cmocka_unit_test(descriptors_above_2_are_closed),
    cmocka_unit_test(the_working_directory_can_be_kept),
    cmocka_unit_test(an_ignored_signal_stays_ignored_after_a_refusal),
    cmocka_unit_test(a_command_hangs_up_with_utsrsh),
    cmocka_unit_test(jobs_hang_up_with_utsrsh),
    cmocka_unit_test(daemons_do_not_hang_up_with_utsrsh),
    cmocka_unit_test(a_command_that_nobody_hears_of_hangs_up),
    cmocka_unit_test(a_command_can_handle_the_hangup),
    cmocka_unit_test(utsrsh_that_is_killed_early_leaves_no_command),
    cmocka_unit_test(what_a_command_leaves_behind_lives_on),
    cmocka_unit_test(utsrsh_goes_to_the_background),
    cmocka_unit_test(messages_go_to_a_file),
    cmocka_unit_test(a_command_has_a_terminal_if_asked_for),
    cmocka_unit_test(a_command_with_a_terminal_hangs_up_with_utsrsh),
};

HARNESS_MAIN(tests)
