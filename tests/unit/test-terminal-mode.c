/* The mode of the user's terminal and of the command's pty, and for whom a key is. */

#include <signal.h>
#include <sys/ioctl.h>

#include "tests/test.h"
#include "tests/unit/terminal-stage.h"

static void it_stays_until_the_command_changes_that_of_its_pty(void **state) {
    static const struct script script = {.command = command_idle};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    usleep(100000);
    assert_mode(&stage, &stage.before);
    ask(&stage, CONTINUE);
    assert_mode(&stage, &stage.before);
    ask(&stage, RESTORE);
    assert_mode(&stage, &stage.before);
    ask(&stage, CONTINUE);
    stage_close(&stage);
}

static const struct mode_case {
    const char *what;
    tcflag_t input_off, output_off, local_off, local_on; /* by the command, on its pty */
    int min, time;                                       /* -1: as it is */
    tcflag_t terminal_input_off, terminal_local_off;     /* on the terminal, besides */
} mode_cases[] = {
    {"a password", 0, 0, ECHO, 0, -1, -1, 0, 0},
    {"a password, but its newline", 0, 0, ECHO, ECHONL, -1, -1, 0, 0},
    {"keys", 0, 0, ICANON | ECHO, 0, -1, -1, ICRNL, 0},
    {"keys with echo, which is the pty's", 0, 0, ICANON, 0, -1, -1, ICRNL, ECHO},
    {"keys, if there are any", 0, 0, ICANON | ECHO, 0, 0, 0, ICRNL, 0},
    {"keys, within a time", 0, 0, ICANON | ECHO, 0, 0, 5, ICRNL, 0},
    {"keys, five at once", 0, 0, ICANON | ECHO, 0, 5, 0, ICRNL, 0},
    {"no signals", 0, 0, ISIG, 0, -1, -1, 0, 0},
    {"no Ctrl-S", IXON, 0, 0, 0, -1, -1, 0, 0},
    {"no Ctrl-V", 0, 0, IEXTEN, 0, -1, -1, 0, 0},
    {"no carriage returns", ICRNL, ONLCR, 0, 0, -1, -1, 0, 0},
    {"no output processing", 0, OPOST, 0, 0, -1, -1, 0, 0},
};

static size_t mode_case_number;

static void mode_case_apply(const struct mode_case *c, struct termios *mode) {
    mode->c_iflag &= ~c->input_off;
    mode->c_oflag &= ~c->output_off;
    mode->c_lflag = (mode->c_lflag & ~c->local_off) | c->local_on;
    if (c->min >= 0)
        mode->c_cc[VMIN] = (cc_t)c->min;
    if (c->time >= 0)
        mode->c_cc[VTIME] = (cc_t)c->time;
}

/* Sets the mode, and the former when the window's size changes. */
static void command_set_mode_for_a_while(void) {
    struct termios before, mode;
    struct winsize size = {.ws_row = 0};

    CHECK(tcgetattr(1, &before) == 0);
    mode = before;
    mode_case_apply(&mode_cases[mode_case_number], &mode);
    CHECK(tcsetattr(1, TCSANOW, &mode) == 0);
    say("ready");
    while (size.ws_row != 9) {
        usleep(10000);
        CHECK(ioctl(1, TIOCGWINSZ, &size) == 0);
    }
    CHECK(tcsetattr(1, TCSANOW, &before) == 0);
    command_idle();
}

static void resize(const struct stage *stage, unsigned short rows) {
    const struct winsize size = {.ws_row = rows, .ws_col = 80};

    assert_int_equal(ioctl(stage->keyboard, TIOCSWINSZ, &size), 0);
    assert_int_equal(ask(stage, RESIZE), 0);
}

static void it_follows_that_of_the_pty(void **state) {
    static const struct script script = {.command = command_set_mode_for_a_while};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(mode_cases); i++) {
        const struct mode_case *c = &mode_cases[i];
        struct stage stage;
        struct termios expected;

        print_message("%s\n", c->what);
        mode_case_number = i;
        stage_open(&stage, &script);
        await_report(&stage, "ready");
        expected = stage.before;
        mode_case_apply(c, &expected);
        expected.c_iflag &= ~c->terminal_input_off;
        expected.c_lflag &= ~c->terminal_local_off;
        if ((expected.c_lflag & ICANON) == 0) {
            expected.c_cc[VMIN] = 1;
            expected.c_cc[VTIME] = 0;
        }
        await_mode(&stage, &expected);
        assert_no_spin(&stage);
        resize(&stage, 9);
        await_report(&stage, "ready");
        await_mode(&stage, &stage.before);
        stage_close(&stage);
    }
}

static void it_is_restored_bytewise(void **state) {
    static const struct script script = {.command = command_idle_raw};
    struct stage stage;
    struct termios raw, changed;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    raw = raw_of(stage.before);
    await_mode(&stage, &raw);
    ask(&stage, RESTORE);
    assert_mode(&stage, &stage.before);
    /* The shell has it now: a second call must not bring the first's mode back. */
    changed = user_set(&stage, ECHOE, 0);
    ask(&stage, RESTORE);
    assert_mode(&stage, &changed);
    ask(&stage, CONTINUE);
    await_mode(&stage, &raw);
    ask(&stage, RESTORE);
    assert_mode(&stage, &changed);
    ask(&stage, CONTINUE);
    await_mode(&stage, &raw);
    stage_close(&stage);
}

/* Only terminal_close() was called: stage_close() makes the player end. */
static void it_is_restored_at_the_end(void **state) {
    static const struct script script = {.command = command_idle_raw};
    struct stage stage;
    struct termios raw;
    int keyboard;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    raw = raw_of(stage.before);
    await_mode(&stage, &raw);
    keyboard = stage.keyboard;
    stage.keyboard = -1;
    stage_close(&stage);
    stage.keyboard = keyboard;
    assert_mode(&stage, &stage.before);
    close(keyboard);
}

/* SIGSTOP gives no time to restore; a shell that puts the raw mode back on fg is not believed. */
static void a_mode_of_the_commands_is_never_taken_for_the_users(void **state) {
    static const struct script script = {.command = command_idle_raw};
    struct stage stage;
    struct termios raw, users;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    raw = raw_of(stage.before);
    await_mode(&stage, &raw);
    ask(&stage, CONTINUE);
    ask(&stage, RESTORE);
    assert_mode(&stage, &stage.before);
    ask(&stage, CONTINUE);
    await_mode(&stage, &raw);
    /* In the background for a while, with the mode left as it is. */
    assert_int_equal(ask(&stage, BACKGROUND), 0);
    ask(&stage, CONTINUE);
    usleep(400000);
    assert_int_equal(ask(&stage, FOREGROUND), 0);
    usleep(600000);
    ask(&stage, RESTORE);
    assert_mode(&stage, &stage.before);
    ask(&stage, CONTINUE);
    await_mode(&stage, &raw);
    /* The shell has set its own while this was stopped: the command gets its mode again, and the
     * user the shell's. */
    users = stage.before;
    users.c_lflag &= ~(tcflag_t)ECHOE;
    assert_int_equal(tcsetattr(stage.keyboard, TCSANOW, &users), 0);
    ask(&stage, CONTINUE);
    await_mode(&stage, &raw);
    ask(&stage, RESTORE);
    assert_mode(&stage, &users);
    ask(&stage, CONTINUE);
    stage_close(&stage);
}

static void in_the_background_it_is_left_alone_until_the_job_comes_back(void **state) {
    static const struct script script = {.command = command_report_input};
    struct stage stage;
    struct termios shells, raw;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    raw = raw_of(stage.before);
    await_mode(&stage, &raw);
    ask(&stage, RESTORE);
    assert_int_equal(ask(&stage, BACKGROUND), 0);
    shells = user_set(&stage, ECHO, 0);
    ask(&stage, CONTINUE);
    type(&stage, "secret\n");
    usleep(500000); /* longer than the module polls for */
    assert_mode(&stage, &shells);
    assert_int_equal(ask(&stage, UNREAD), 7);
    assert_no_spin(&stage);
    /* A running job is not told by a signal. */
    assert_int_equal(ask(&stage, FOREGROUND), 0);
    await_mode(&stage, &raw);
    await_report(&stage, "secret\n");
    stage_close(&stage);
}

/* Stopped by SIGSTOP, raw; continued in the background; ends there: the shell's mode stays. */
static void in_the_background_nothing_is_restored(void **state) {
    static const struct script script = {.command = command_idle_raw};
    struct stage stage;
    struct termios raw, shells;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    raw = raw_of(stage.before);
    await_mode(&stage, &raw);
    assert_int_equal(ask(&stage, BACKGROUND), 0);
    shells = user_set(&stage, ISIG, ICANON);
    ask(&stage, RESTORE);
    assert_mode(&stage, &shells);
    ask(&stage, CONTINUE);
    stage_close(&stage);
}

static void command_write_in_background(void) {
    struct winsize size = {.ws_row = 0};

    say("ready");
    while (size.ws_row != 9) {
        usleep(10000);
        CHECK(ioctl(1, TIOCGWINSZ, &size) == 0);
    }
    tty_set_raw();
    CHECK(write(1, "output", 6) == 6);
    say("written");
    command_idle();
}

static void in_the_background_output_is_written_and_no_mode_set(void **state) {
    static const struct script script = {.command = command_write_in_background};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    assert_int_equal(ask(&stage, BACKGROUND), 0);
    resize(&stage, 9);
    await_report(&stage, "written");
    await_screen(&stage, "output");
    assert_mode(&stage, &stage.before);
    stage_close(&stage);
}

static void command_tell_echo(void) {
    say("ready");
    for (;;) {
        struct termios mode;

        CHECK(hear() == '\n' && tcgetattr(1, &mode) == 0);
        say((mode.c_lflag & ECHOK) != 0 ? "on" : "off");
    }
}

/* `stty -echok` while the job is stopped: a command that shares the terminal would see it. */
static void what_the_shell_sets_meanwhile_is_the_commands_too(void **state) {
    static const struct script script = {.command = command_tell_echo};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    type(&stage, "\n");
    await_report(&stage, "on");
    ask(&stage, RESTORE);
    user_set(&stage, ECHOK, 0);
    ask(&stage, CONTINUE);
    type(&stage, "\n");
    await_report(&stage, "off");
    /* So it would see what another program sets while it runs. */
    user_set(&stage, 0, ECHOK);
    type(&stage, "\n");
    await_report(&stage, "on");
    stage_close(&stage);
}

static volatile sig_atomic_t n_winches;

static void on_winch(int signal_number) {
    (void)signal_number;
    n_winches++;
}

static void command_report_size(void) {
    const struct sigaction action = {.sa_handler = on_winch};
    sigset_t winch, none;
    struct winsize size;
    char text[32];

    (void)sigemptyset(&none);
    (void)sigemptyset(&winch);
    (void)sigaddset(&winch, SIGWINCH);
    CHECK(sigprocmask(SIG_BLOCK, &winch, NULL) == 0 && sigaction(SIGWINCH, &action, NULL) == 0);
    say("ready");
    for (;;) {
        (void)sigsuspend(&none);
        CHECK(ioctl(1, TIOCGWINSZ, &size) == 0);
        (void)snprintf(text, sizeof(text), "%d %d %d;", (int)n_winches, size.ws_row, size.ws_col);
        say(text);
    }
}

static void a_new_size_reaches_the_command_with_its_signal(void **state) {
    static const struct script script = {.command = command_report_size};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    resize(&stage, 41);
    await_report(&stage, "1 41 80;");
    assert_int_equal(ask(&stage, RESIZE), 0); /* no change, no signal */
    resize(&stage, 20);
    await_report(&stage, "2 20 80;");
    stage_close(&stage);
}

static void command_ask_password(void) {
    struct termios before;

    CHECK(tcgetattr(1, &before) == 0);
    tty_set(ECHO);
    CHECK(write(1, "?", 1) == 1);
    for (const char *expected = "secret\n"; *expected != '\0'; expected++)
        CHECK(hear() == *expected);
    CHECK(tcsetattr(1, TCSANOW, &before) == 0);
    say("got it");
    command_idle();
}

/* The mode is there before the question, so that no echo can be seen after it. */
static void a_password_is_not_shown(void **state) {
    static const struct script script = {.command = command_ask_password};
    struct stage stage;
    struct termios mode;
    char bytes[16];

    (void)state;
    stage_open(&stage, &script);
    await_screen(&stage, "?");
    mode = stage.before;
    mode.c_lflag &= ~(tcflag_t)ECHO;
    assert_mode(&stage, &mode);
    type(&stage, "secret\r");
    await_report(&stage, "got it");
    await_mode(&stage, &stage.before);
    assert_int_equal(screen_read(&stage, bytes, sizeof(bytes), 0), 0);
    stage_close(&stage);
}

static void command_draw(void) {
    tty_set_raw();
    CHECK(write(1, "a\nb", 3) == 3);
    command_idle();
}

/* Without the carriage return that the terminal's mode before would give it. */
static void the_commands_mode_is_there_before_its_output(void **state) {
    static const struct script script = {.command = command_draw};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_screen(&stage, "a\nb");
    stage_close(&stage);
}

static void command_draw_and_restore(void) {
    struct termios before;

    CHECK(tcgetattr(1, &before) == 0);
    tty_set_raw();
    say("ready");
    CHECK(hear() == 'd');
    CHECK(write(1, "a\nb", 3) == 3);
    say("drawn");
    usleep(100000); /* it has been read from the pty */
    CHECK(tcsetattr(1, TCSANOW, &before) == 0);
    CHECK(write(1, "c\nd", 3) == 3);
    say("restored");
    command_idle();
}

/* The terminal is slow: the command's mode, too, is there until its output is written. */
static void the_commands_mode_stays_as_long_as_its_output_waits(void **state) {
    static const struct script script = {.command = command_draw_and_restore};
    struct stage stage;
    struct termios raw;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    raw = raw_of(stage.before);
    await_mode(&stage, &raw);
    raw.c_iflag |= IXON; /* stopped from outside, so that the mode of the pty may change freely */
    assert_int_equal(tcsetattr(stage.keyboard, TCSANOW, &raw), 0);
    type(&stage, "\x13"
                 "d");
    await_report(&stage, "drawnrestored");
    usleep(100000);
    type(&stage, "\x11");
    await_screen(&stage, "a\nbc\r\nd");
    stage_close(&stage);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(it_stays_until_the_command_changes_that_of_its_pty),
    cmocka_unit_test(it_follows_that_of_the_pty),
    cmocka_unit_test(it_is_restored_bytewise),
    cmocka_unit_test(it_is_restored_at_the_end),
    cmocka_unit_test(a_mode_of_the_commands_is_never_taken_for_the_users),
    cmocka_unit_test(in_the_background_it_is_left_alone_until_the_job_comes_back),
    cmocka_unit_test(in_the_background_nothing_is_restored),
    cmocka_unit_test(in_the_background_output_is_written_and_no_mode_set),
    cmocka_unit_test(what_the_shell_sets_meanwhile_is_the_commands_too),
    cmocka_unit_test(a_new_size_reaches_the_command_with_its_signal),
    cmocka_unit_test(a_password_is_not_shown),
    cmocka_unit_test(the_commands_mode_is_there_before_its_output),
    cmocka_unit_test(the_commands_mode_stays_as_long_as_its_output_waits),
};

TEST_MAIN(tests)
