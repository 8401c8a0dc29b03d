/* On a terminal utsrun behaves as if it were not there: bash's prompt, job control, Ctrl-C, Ctrl-Z.
 */

#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "tests/integration/harness.h"

/* A terminal with an interactive bash in it, as somebody at a keyboard has it. */
struct terminal {
    pid_t shell;
    int fd;
    char text[1 << 16]; /* what came since the last thing that was expected */
    size_t length;
};

static void terminal_open(struct terminal *terminal) {
    static char *argv[] = {"/bin/bash", "--norc", "--noprofile", "-i", NULL};
    static char *environment[] = {"PATH=/usr/bin:/bin", "PS1=[\\h outer]", "TERM=dumb",
                                  "HISTFILE=/dev/null", NULL};

    memset(terminal, 0, sizeof(*terminal));
    terminal->shell = forkpty(&terminal->fd, NULL, NULL, NULL);
    assert_true(terminal->shell >= 0);
    if (terminal->shell == 0) {
        harness_become(USER_WITHOUT_NAME);
        (void)execve(argv[0], argv, environment);
        _exit(202);
    }
}

static void terminal_type(struct terminal *terminal, const char *keys) {
    assert_int_equal(write(terminal->fd, keys, strlen(keys)), strlen(keys));
}

/* Waits for @expected, in ten seconds, and forgets everything up to its end. */
static void terminal_expect(struct terminal *terminal, const char *expected) {
    for (;;) {
        struct pollfd ready = {.fd = terminal->fd, .events = POLLIN};
        char *found = strstr(terminal->text, expected);
        ssize_t n;

        if (found != NULL) {
            size_t used = (size_t)(found - terminal->text) + strlen(expected);

            memmove(terminal->text, terminal->text + used, terminal->length - used + 1);
            terminal->length -= used;
            return;
        }
        if (poll(&ready, 1, 10000) <= 0)
            fail_msg("expected '%s', the screen has: %s", expected, terminal->text);
        n = read(terminal->fd, terminal->text + terminal->length,
                 sizeof(terminal->text) - 1 - terminal->length);
        if (n <= 0)
            fail_msg("expected '%s', the terminal was closed: %s", expected, terminal->text);
        terminal->length += (size_t)n;
        terminal->text[terminal->length] = '\0';
    }
}

/* The outer shell lives on, and ends when it is told to. */
static void terminal_close(struct terminal *terminal) {
    int status;

    terminal_type(terminal, "echo a''live\n");
    terminal_expect(terminal, "\nalive");
    terminal_type(terminal, "exit 42\n");
    while (read(terminal->fd, terminal->text, sizeof(terminal->text)) > 0)
        ;
    assert_int_equal(waitpid(terminal->shell, &status, 0), terminal->shell);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    close(terminal->fd);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

#define INNER "PS1='[\\h inner]' " UTSRUN_PATH " -n node1.test -- bash --norc --noprofile -i\n"

/* A shell under the name node1.test, in one without it. */
static void terminal_open_inner(struct terminal *terminal) {
    terminal_open(terminal);
    terminal_expect(terminal, " outer]");
    terminal_type(terminal, INNER);
    terminal_expect(terminal, "[node1 inner]");
}

static void bash_inside_shows_the_name_and_has_job_control(void **state) {
    static struct terminal terminal;

    (void)state;
    terminal_open_inner(&terminal);
    terminal_type(&terminal, "sleep 100\n");
    usleep(200000);
    terminal_type(&terminal, "\x1a"); /* Ctrl-Z */
    terminal_expect(&terminal, "Stopped");
    terminal_expect(&terminal, "[node1 inner]");
    terminal_type(&terminal, "jobs\n");
    terminal_expect(&terminal, "sleep 100");
    terminal_type(&terminal, "fg\n");
    terminal_expect(&terminal, "sleep 100\r\n");
    usleep(200000);
    terminal_type(&terminal, "\x03"); /* Ctrl-C */
    terminal_expect(&terminal, "[node1 inner]");
    terminal_type(&terminal, "echo code $?\n");
    terminal_expect(&terminal, "code 130");
    terminal_type(&terminal, "sleep 100 & kill %1; wait; echo w''aited\n");
    terminal_expect(&terminal, "waited");
    terminal_type(&terminal, "exit 7\n");
    terminal_expect(&terminal, " outer]");
    terminal_type(&terminal, "echo code $?\n");
    terminal_expect(&terminal, "code 7");
    terminal_close(&terminal);
}

/* In service mode it is the monitor. */
static void fg_continues_a_stopped_parent_of_the_command(void **state) {
    static struct terminal terminal;

    (void)state;
    terminal_open(&terminal);
    terminal_expect(&terminal, " outer]");
    terminal_type(&terminal,
                  UTSRUN_PATH " -n node1.test -- sh -c 'kill -STOP $PPID; sleep 0.2; exit 5'\n");
    terminal_expect(&terminal, "Stopped");
    terminal_expect(&terminal, " outer]");
    terminal_type(&terminal, "fg\n");
    terminal_expect(&terminal, " outer]");
    terminal_type(&terminal, "echo code $?\n");
    terminal_expect(&terminal, "code 5");
    terminal_close(&terminal);
}

static void ctrl_z_stops_and_fg_continues_a_command_of_the_outer_shell(void **state) {
    static struct terminal terminal;

    (void)state;
    terminal_open(&terminal);
    terminal_expect(&terminal, " outer]");
    for (int i = 0; i < 3; i++) {
        terminal_type(&terminal, UTSRUN_PATH " -n node1.test -- sleep 100\n");
        usleep(200000);
        terminal_type(&terminal, "\x1a");
        terminal_expect(&terminal, "Stopped");
        terminal_expect(&terminal, " outer]");
        terminal_type(&terminal, "bg\n");
        terminal_expect(&terminal, " outer]");
        terminal_type(&terminal, "jobs\n");
        terminal_expect(&terminal, "Running");
        terminal_expect(&terminal, " outer]");
        terminal_type(&terminal, "fg\n");
        terminal_expect(&terminal, "sleep 100");
        usleep(100000);
        terminal_type(&terminal, "\x03");
        terminal_expect(&terminal, " outer]");
        terminal_type(&terminal, "echo code $?\n");
        terminal_expect(&terminal, "code 130");
    }
    terminal_close(&terminal);
}

static void suspend_inside_gives_the_terminal_back(void **state) {
    static struct terminal terminal;

    (void)state;
    terminal_open_inner(&terminal);
    terminal_type(&terminal, "suspend\n");
    terminal_expect(&terminal, "Stopped");
    terminal_expect(&terminal, " outer]");
    terminal_type(&terminal, "echo o''uter; fg\n");
    terminal_expect(&terminal, "outer\r\n");
    terminal_expect(&terminal, "[node1 inner]");
    terminal_type(&terminal, "uname -n\n");
    terminal_expect(&terminal, "node1.test");
    terminal_type(&terminal, "exit\n");
    terminal_expect(&terminal, " outer]");
    terminal_close(&terminal);
}

/* What the terminal sends to the whole group comes once; what kill sends, comes too. */
static void what_the_terminal_sends_is_not_sent_twice(void **state) {
    static struct terminal terminal;
    struct winsize size = {.ws_row = 40, .ws_col = 120};
    pid_t recorder = 0;

    (void)state;
    terminal_open(&terminal);
    terminal_expect(&terminal, " outer]");
    terminal_type(&terminal, UTSRUN_PATH " -n node1.test -- " RECORDER_PATH "\n");
    terminal_expect(&terminal, "\nready ");
    terminal_expect(&terminal, "\r\n");
    for (int i = 0; i < 5; i++) {
        static const char *const keys[] = {"\x03", "\x1c", "\x1a"}; /* Ctrl-C, Ctrl-\, Ctrl-Z */
        static const char *const expected[] = {"signal 2\r\n", "signal 3\r\n", "signal 20\r\n"};

        for (size_t key = 0; key < BASE_ARRAY_SIZE(keys); key++) {
            terminal_type(&terminal, keys[key]);
            terminal_expect(&terminal, expected[key]);
            usleep(30000);
        }
    }
    assert_int_equal(ioctl(terminal.fd, TIOCSWINSZ, &size), 0);
    terminal_expect(&terminal, "signal 28\r\n"); /* SIGWINCH */
    usleep(30000);
    /* Nothing came in between that was not expected. */
    assert_null(strstr(terminal.text, "signal"));
    assert_int_equal(tcgetpgrp(terminal.fd) > 0, 1);
    recorder = tcgetpgrp(terminal.fd);
    assert_int_equal(kill(recorder, SIGUSR1), 0); /* the group's leader: utsrun */
    terminal_expect(&terminal, "signal 10\r\n");
    assert_int_equal(kill(recorder, SIGRTMIN), 0);
    terminal_expect(&terminal, " outer]");
    terminal_close(&terminal);
}

/* timeout(1) makes itself the leader of a group; a job's first process, it would be that already.
 */
static void a_command_that_leaves_the_group_can_be_interrupted(void **state) {
    static struct terminal terminal;

    (void)state;
    terminal_open(&terminal);
    terminal_expect(&terminal, " outer]");
    terminal_type(&terminal, UTSRUN_PATH " -n node1.test -- timeout 30 sleep 20\n");
    usleep(200000);
    terminal_type(&terminal, "\x03");
    terminal_expect(&terminal, " outer]");
    terminal_close(&terminal);
}

/* A terminal that goes away tells only the session's leader: here that is utsrun. */
static void a_hangup_ends_the_command_of_a_session_leader(void **state) {
    static char *argv[] = {UTSRUN_PATH, "-n", "node1.test", "sleep", "100", NULL};
    static char *environment[] = {"PATH=/usr/bin:/bin", NULL};
    int fd, status;
    pid_t pid = forkpty(&fd, NULL, NULL, NULL);

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        harness_become(USER_WITHOUT_NAME);
        (void)execve(argv[0], argv, environment);
        _exit(202);
    }
    usleep(300000);
    close(fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGHUP);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void reload(void) {
    struct test_service *service = harness_service_of(USER_WITHOUT_NAME);

    assert_int_equal(kill(service->pid, SIGHUP), 0);
    assert_true(harness_wait_for(service_is_resumed, service));
    usleep(100000);
}

/* The service executes a new program: with a command in the foreground, and with one that is
 * stopped; and then the launcher is killed. */
static void a_reload_is_not_seen_on_a_terminal(void **state) {
    static struct terminal terminal;

    (void)state;
    terminal_open_inner(&terminal);
    terminal_type(&terminal, "sleep 100\n");
    usleep(200000);
    reload();
    terminal_type(&terminal, "\x03");
    terminal_expect(&terminal, "[node1 inner]");
    terminal_type(&terminal, "suspend\n");
    terminal_expect(&terminal, "Stopped");
    terminal_expect(&terminal, " outer]");
    reload();
    terminal_type(&terminal, "fg\n");
    terminal_expect(&terminal, "[node1 inner]");
    terminal_type(&terminal, "exit 7\n");
    terminal_expect(&terminal, " outer]");
    terminal_type(&terminal, "echo code $?\n");
    terminal_expect(&terminal, "code 7");
    terminal_type(&terminal, UTSRUN_PATH " -n node1.test sleep 100\n");
    usleep(200000);
    reload();
    assert_int_equal(kill(tcgetpgrp(terminal.fd), SIGKILL), 0);
    terminal_expect(&terminal, "Killed");
    terminal_close(&terminal); /* which checks that the command has ended, too */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(bash_inside_shows_the_name_and_has_job_control),
    cmocka_unit_test(fg_continues_a_stopped_parent_of_the_command),
    cmocka_unit_test(ctrl_z_stops_and_fg_continues_a_command_of_the_outer_shell),
    cmocka_unit_test(suspend_inside_gives_the_terminal_back),
    cmocka_unit_test(what_the_terminal_sends_is_not_sent_twice),
    cmocka_unit_test(a_command_that_leaves_the_group_can_be_interrupted),
    cmocka_unit_test(a_hangup_ends_the_command_of_a_session_leader),
};

static const struct CMUnitTest direct_tests[] = {HARNESS_NO_TEST};

static const struct CMUnitTest service_tests[] = {
    cmocka_unit_test(a_reload_is_not_seen_on_a_terminal),
};

HARNESS_MAIN_OF_BOTH(tests, direct_tests, service_tests, harness_set_up, harness_tear_down)
