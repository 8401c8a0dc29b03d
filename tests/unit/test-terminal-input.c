/* For whom it is what the user types, and how often it is seen. */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include "tests/test.h"
#include "tests/unit/terminal-stage.h"

static void command_repeat_lines(void) {
    char bytes[256] = "";
    ssize_t n;

    say("ready");
    while ((n = read(1, bytes, sizeof(bytes))) > 0)
        CHECK(write(1, bytes, (size_t)n) == n && write(stage_report, bytes, (size_t)n) == n);
}

/* By the terminal that has edited it; the echo of the pty is not shown. */
static void a_line_is_shown_once(void **state) {
    static const struct script script = {.command = command_repeat_lines};
    static const struct {
        const char *typed, *read, *screen;
    } cases[] = {
        {"hello\r", "hello\n", "hello\r\nhello\r\n"},
        {"x\x7fy\r", "y\n", "x\b \by\r\ny\r\n"},
        {"\x16\x03\r", "\x03\n", "^\b^C\r\n\x03\r\n"},
        {"a b\tc\r", "a b\tc\n", "a b\tc\r\na b\tc\r\n"},
        {"\r", "\n", "\r\n\r\n"},
        {"end\x04", "end", "endend"},
    };
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
            type(&stage, cases[i].typed);
            await_report(&stage, cases[i].read);
            await_screen(&stage, cases[i].screen);
        }
    stage_close(&stage);
}

/* Without line editing already when utsrun starts, by `stty -icanon`. */
static void a_key_without_line_editing_is_shown_once(void **state) {
    static const struct script script = {.command = command_repeat_lines, .local_off = ICANON};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    for (const char *keys = "key\x01\t"; *keys != '\0'; keys++) {
        const char key[] = {*keys, '\0'};
        char screen[8];

        type(&stage, key);
        await_report(&stage, key);
        (void)snprintf(screen, sizeof(screen), *keys == '\x01' ? "^A%s" : "%s%s",
                       *keys == '\x01' ? key : key, key);
        await_screen(&stage, screen);
    }
    stage_close(&stage);
}

static void await_unread(const struct stage *stage, int n) {
    for (int i = 0; i < 100 && ask(stage, UNREAD) != n; i++)
        usleep(10000);
    usleep(150000);
    assert_int_equal(ask(stage, UNREAD), n);
}

/* It may be for the shell, after the end: one line is taken, and only when nobody else has. */
static void no_more_than_one_line_is_taken_before_the_command_reads(void **state) {
    static const struct script script = {.command = command_idle};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    type(&stage, "one\ntwo\n");
    await_unread(&stage, 4);
    assert_no_spin(&stage);
    stage_close(&stage);
}

static void command_flush(void) {
    char bytes[8];

    say("ready");
    usleep(300000);
    CHECK(tcflush(1, TCIFLUSH) == 0);
    say("flushed");
    CHECK(read(1, bytes, sizeof(bytes)) == 4 && memcmp(bytes, "two\n", 4) == 0);
    say("read");
    command_idle();
}

/* No edge is lost: the next line is given. */
static void a_line_may_be_flushed(void **state) {
    static const struct script script = {.command = command_flush};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    type(&stage, "one\ntwo\n");
    await_report(&stage, "flushedread");
    stage_close(&stage);
}

static void command_read_to_end(void) {
    char bytes[16];

    say("ready");
    CHECK(read(1, bytes, sizeof(bytes)) == 2 && bytes[0] == 'a');
    CHECK(read(1, bytes, sizeof(bytes)) == 0);
    say("end");
    CHECK(read(1, bytes, sizeof(bytes)) == 0);
    say("end");
    command_idle();
}

static void the_end_of_input_can_be_typed(void **state) {
    static const struct script script = {.command = command_read_to_end};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    type(&stage, "a\n");
    usleep(100000);
    type(&stage, "\x04");
    await_report(&stage, "end");
    type(&stage, "\x04");
    await_report(&stage, "end");
    stage_close(&stage);
}

static void command_read_nothing(void) {
    char byte;

    say("ready");
    CHECK(read(1, &byte, 1) == 0);
    say("end");
    command_idle();
}

static void the_end_may_be_the_first_thing_that_is_typed(void **state) {
    static const struct script script = {.command = command_read_nothing};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    type(&stage, "\x04");
    await_report(&stage, "end");
    assert_no_spin(&stage);
    stage_close(&stage);
}

static void command_read_line(void) {
    say("ready");
    while (hear() != '\n')
        ;
    say("line");
    command_idle();
}

/* `utsrun make | less`: less has set a mode for its keys. */
static void the_keys_of_a_pager_are_not_taken(void **state) {
    static const struct script script = {.command = command_read_line};
    struct stage stage;
    struct termios pagers;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    pagers = user_set(&stage, ICANON | ECHO, 0);
    usleep(100000);
    type(&stage, "q");
    usleep(200000);
    assert_int_equal(ask(&stage, UNREAD), 1);
    assert_no_spin(&stage);
    ask(&stage, RESTORE);
    assert_mode(&stage, &pagers);
    ask(&stage, CONTINUE);
    /* Nothing but the mode of the terminal tells that the pager has ended. */
    user_set(&stage, 0, ICANON | ECHO);
    type(&stage, "\n");
    await_report(&stage, "line");
    stage_close(&stage);
}

/* The pager came later than the command's own keys, as if they shared the terminal: it has it. */
static void the_mode_of_a_pager_is_not_undone(void **state) {
    static const struct script script = {.command = command_idle_raw};
    struct stage stage;
    struct termios mode;
    int keyboard;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    mode = raw_of(stage.before);
    await_mode(&stage, &mode);
    mode = user_set(&stage, 0, ISIG);
    usleep(100000);
    assert_mode(&stage, &mode);
    keyboard = stage.keyboard;
    stage.keyboard = -1;
    stage_close(&stage);
    stage.keyboard = keyboard;
    assert_mode(&stage, &mode);
    close(keyboard);
}

/* In that moment another process takes the terminal: nobody is kept busy. */
static void a_line_that_waits_for_others_may_become_the_shells(void **state) {
    static const struct script script = {.command = command_read_line};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    type(&stage, "x\n");
    usleep(10000);
    assert_int_equal(ask(&stage, BACKGROUND), 0);
    assert_no_spin(&stage);
    stage_close(&stage);

    stage_open(&stage, &script);
    await_report(&stage, "ready");
    type(&stage, "x\n");
    usleep(10000);
    user_set(&stage, ICANON | ECHO, 0);
    assert_no_spin(&stage);
    stage_close(&stage);
}

/*
 * Keys for signals.
 */

static struct signal_case {
    const char *what;
    tcflag_t local_off;
    int index; /* of the key, in c_cc; -1: as they are */
    char key, typed;
    bool is_other_group;
    int number; /* 0: the byte is read */
} signal_case;

/* Takes the signal without stopping, or the byte. */
static void command_await_signal(void) {
    const struct timespec limit = {.tv_nsec = 200000000};
    struct termios mode;
    sigset_t signals;
    int number;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTSTP);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGQUIT);
    (void)sigaddset(&signals, SIGTTOU);
    CHECK(sigprocmask(SIG_BLOCK, &signals, NULL) == 0);
    if (signal_case.is_other_group && fork() != 0)
        for (;;)
            (void)pause();
    if (signal_case.is_other_group)
        CHECK(setpgid(0, 0) == 0 && tcsetpgrp(1, getpgrp()) == 0);
    CHECK(tcgetattr(1, &mode) == 0);
    mode.c_lflag &= ~(signal_case.local_off | (tcflag_t)(ICANON | ECHO));
    if (signal_case.index >= 0)
        mode.c_cc[signal_case.index] = (cc_t)signal_case.key;
    CHECK(tcsetattr(1, TCSANOW, &mode) == 0);
    say("ready");
    (void)sigdelset(&signals, SIGTTOU);
    while ((number = sigtimedwait(&signals, NULL, &limit)) < 0)
        if (poll(&(struct pollfd){.fd = 1, .events = POLLIN}, 1, 0) == 1)
            (void)(hear() == signal_case.typed ? say("byte") : say("else"));
    say(number == SIGTSTP ? "stop" : number == SIGINT ? "intr" : "quit");
    command_idle();
}

static void a_key_for_a_signal_signals_both_groups(void **state) {
    static const struct signal_case cases[] = {
        {"Ctrl-Z", 0, -1, 0, '\x1a', false, SIGTSTP},
        {"Ctrl-C", 0, -1, 0, '\x03', false, SIGINT},
        {"Ctrl-\\", 0, -1, 0, '\x1c', false, SIGQUIT},
        {"another key for it", 0, VSUSP, '\x19', '\x19', false, SIGTSTP},
        {"a letter for it", 0, VINTR, 'z', 'z', false, SIGINT},
        {"Ctrl-Z, when another key is for it", 0, VSUSP, '\x19', '\x1a', false, 0},
        {"the terminal makes no signals", ISIG, -1, 0, '\x1a', false, 0},
        {"it is disabled", 0, VSUSP, _POSIX_VDISABLE, '\x1a', false, 0},
        {"it is disabled, and NUL is typed", 0, VSUSP, _POSIX_VDISABLE, '\0', false, 0},
        {"a job of a shell's is in the foreground", 0, -1, 0, '\x1a', true, SIGTSTP},
    };
    static const struct script script = {.command = command_await_signal};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const int number = cases[i].number;
        struct stage stage;
        struct termios mode;

        print_message("%s\n", cases[i].what);
        signal_case = cases[i];
        stage_open(&stage, &script);
        await_report(&stage, "ready");
        mode = stage.before;
        mode.c_iflag &= ~(tcflag_t)ICRNL;
        mode.c_lflag &= ~(cases[i].local_off | (tcflag_t)(ICANON | ECHO));
        if (cases[i].index >= 0)
            mode.c_cc[cases[i].index] = (cc_t)cases[i].key;
        await_mode(&stage, &mode);
        assert_int_equal(write(stage.keyboard, &cases[i].typed, 1), 1);
        await_report(&stage, number == SIGTSTP  ? "stop"
                             : number == SIGINT ? "intr"
                             : number != 0      ? "quit"
                                                : "byte");
        assert_int_equal(ask(&stage, SIGNALS), number != 0);
        assert_int_equal(ask(&stage, IN_FRONT), !cases[i].is_other_group);
        stage_close(&stage);
    }
}

/* Not a byte is read before the signal. */
static void command_read_after_signal(void) {
    sigset_t signals;
    int number;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    CHECK(sigprocmask(SIG_BLOCK, &signals, NULL) == 0);
    tty_set(ICANON | ECHO);
    say("ready");
    CHECK(sigwait(&signals, &number) == 0);
    say("intr");
    CHECK(hear() == 'k');
    say("key");
    command_idle();
}

/* What was typed before is lost, wherever it waits: on its way to the pty, or there. */
static void nothing_that_was_typed_before_an_interrupt_is_read(void **state) {
    static const struct script script = {.command = command_read_after_signal};
    static char bytes[512];
    struct stage stage;
    struct termios mode;

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    mode = stage.before;
    mode.c_iflag &= ~(tcflag_t)ICRNL;
    mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    await_mode(&stage, &mode);
    assert_int_equal(fcntl(stage.keyboard, F_SETFL, O_NONBLOCK), 0);
    /* Until no more is taken: then the relay holds some, too. */
    for (int i = 0; i < 1000 && ask(&stage, UNREAD) == 0; i++) {
        assert_int_equal(write(stage.keyboard, bytes, sizeof(bytes)), sizeof(bytes));
        usleep(1000);
    }
    test_assert_in_range(ask(&stage, UNREAD), 1, 4000);
    type(&stage, "\x03");
    await_report(&stage, "intr");
    type(&stage, "k");
    await_report(&stage, "key");
    stage_close(&stage);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_line_is_shown_once),
    cmocka_unit_test(a_key_without_line_editing_is_shown_once),
    cmocka_unit_test(no_more_than_one_line_is_taken_before_the_command_reads),
    cmocka_unit_test(a_line_may_be_flushed),
    cmocka_unit_test(the_end_of_input_can_be_typed),
    cmocka_unit_test(the_end_may_be_the_first_thing_that_is_typed),
    cmocka_unit_test(the_keys_of_a_pager_are_not_taken),
    cmocka_unit_test(the_mode_of_a_pager_is_not_undone),
    cmocka_unit_test(a_line_that_waits_for_others_may_become_the_shells),
    cmocka_unit_test(a_key_for_a_signal_signals_both_groups),
    cmocka_unit_test(nothing_that_was_typed_before_an_interrupt_is_read),
};

TEST_MAIN(tests)
