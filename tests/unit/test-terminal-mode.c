/* The mode of the user's terminal, and when what is typed is the command's. */

#include <sys/ioctl.h>
#include <signal.h>

#include "tests/test.h"
#include "tests/unit/terminal-stage.h"

static void it_is_raw_in_the_foreground_and_restored_bytewise(void **state) {
    static const struct script script = {.command = command_idle};
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
    changed = user_set(&stage, ECHOCTL, 0);
    ask(&stage, RESTORE);
    assert_mode(&stage, &changed);
    ask(&stage, CONTINUE);
    raw = raw_of(changed);
    assert_mode(&stage, &raw);
    ask(&stage, RESTORE);
    assert_mode(&stage, &changed);
    ask(&stage, CONTINUE);
    assert_mode(&stage, &raw);
    stage_close(&stage);
}

/* Only deinit was called: stage_close() makes the player end. */
static void it_is_restored_at_the_end(void **state) {
    static const struct script script = {.command = command_idle};
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
static void a_raw_mode_is_never_taken_for_the_users(void **state) {
    static const struct script script = {.command = command_idle};
    struct stage stage;
    struct termios raw;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    raw = raw_of(stage.before);
    await_mode(&stage, &raw);
    ask(&stage, CONTINUE);
    ask(&stage, RESTORE);
    assert_mode(&stage, &stage.before);
    ask(&stage, CONTINUE);
    /* The shell set its own in between: that is the user's now, and not left. */
    user_set(&stage, ECHOE, ICANON | ECHO);
    ask(&stage, CONTINUE);
    ask(&stage, RESTORE);
    assert_true((user_mode(&stage).c_lflag & (ICANON | ECHO | ECHOE)) == (ICANON | ECHO));
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
    raw = raw_of(shells);
    await_mode(&stage, &raw);
    await_report(&stage, "secret\n");
    stage_close(&stage);
}

/* Stopped by SIGSTOP, raw; continued in the background; ends there: the shell's mode stays. */
static void in_the_background_nothing_is_restored(void **state) {
    static const struct script script = {.command = command_idle};
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
    say("ready");
    (void)hear();
    tty_set_raw();
    CHECK(write(1, "output", 6) == 6);
    say("written");
    command_idle();
}

static void in_the_background_output_is_written(void **state) {
    static const struct script script = {.command = command_write_in_background};
    struct stage stage;
    char bytes[64] = "";

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    type(&stage, "\n");
    assert_int_equal(ask(&stage, BACKGROUND), 0);
    await_report(&stage, "written");
    for (size_t n = 0; strstr(bytes, "output") == NULL;) {
        size_t more = screen_read(&stage, bytes + n, sizeof(bytes) - 1 - n, 2000);

        assert_int_not_equal(more, 0);
        n += more;
    }
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
    assert_int_equal(
        ioctl(stage.keyboard, TIOCSWINSZ, &(struct winsize){.ws_row = 41, .ws_col = 121}), 0);
    assert_int_equal(ask(&stage, RESIZE), 0);
    await_report(&stage, "1 41 121;");
    assert_int_equal(ask(&stage, RESIZE), 0); /* no change, no signal */
    assert_int_equal(
        ioctl(stage.keyboard, TIOCSWINSZ, &(struct winsize){.ws_row = 20, .ws_col = 60}), 0);
    assert_int_equal(ask(&stage, RESIZE), 0);
    await_report(&stage, "2 20 60;");
    stage_close(&stage);
}

/*
 * Pipelines.
 */

static void command_change_modes(void) {
    struct termios before, mode;
    char byte[2] = "";

    CHECK(tcgetattr(1, &before) == 0);
    say("ready");
    byte[0] = hear(); /* line by line */
    say(byte);
    mode = before;
    mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    CHECK(tcsetattr(1, TCSANOW, &mode) == 0);
    say("keys");
    CHECK(hear() == '\n');
    CHECK(hear() == 'k');
    tty_set_raw();
    say("raw");
    CHECK(hear() == '\x03');
    say("end");
    command_idle();
}

static void mode_of_keys(struct termios *mode) {
    mode->c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    mode->c_cc[VMIN] = 1;
    mode->c_cc[VTIME] = 0;
}

/* The others of a pipeline need OPOST for their lines, and ISIG, as Ctrl-C is for all. */
static void in_a_pipeline_the_terminal_keeps_signals_and_lines(void **state) {
    static const struct script script = {.command = command_change_modes, .is_pipeline = true};
    struct stage stage;
    struct termios mode;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    usleep(100000);
    assert_mode(&stage, &stage.before); /* nobody has asked for anything else */
    type(&stage, "l\n");
    await_report(&stage, "l");
    await_report(&stage, "keys");
    mode = stage.before;
    mode_of_keys(&mode);
    await_mode(&stage, &mode);
    assert_true((mode.c_lflag & ISIG) != 0 && (mode.c_oflag & OPOST) != 0);
    type(&stage, "\x03");
    usleep(50000);
    assert_int_equal(ask(&stage, INTERRUPT), 1);
    type(&stage, "k");
    /* Now it does as a command that shares the terminal and wants each byte. */
    await_report(&stage, "raw");
    mode = raw_of(mode);
    await_mode(&stage, &mode);
    type(&stage, "\x03");
    await_report(&stage, "end");
    ask(&stage, RESTORE);
    assert_mode(&stage, &stage.before);
    ask(&stage, CONTINUE);
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

static void in_a_pipeline_the_terminal_is_given_back_when_the_command_is_done(void **state) {
    static const struct script script = {.command = command_ask_password, .is_pipeline = true};
    struct stage stage;
    struct termios mode;
    char bytes[16];

    (void)state;
    stage_open(&stage, &script);
    await_screen(&stage, "?");
    mode = stage.before;
    mode_of_keys(&mode);
    assert_mode(&stage, &mode);
    type(&stage, "secret\r");
    await_report(&stage, "got it");
    await_mode(&stage, &stage.before);
    assert_int_equal(screen_read(&stage, bytes, sizeof(bytes), 0), 0); /* no echo */
    stage_close(&stage);
}

/* `utsrun make | less`: less has set a mode for its keys. */
static void in_a_pipeline_the_keys_of_a_pager_are_not_taken(void **state) {
    static const struct script script = {.command = command_change_modes, .is_pipeline = true};
    struct stage stage;
    struct termios pagers;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    pagers = user_set(&stage, ICANON | ECHO, 0);
    usleep(400000); /* noticed by then */
    type(&stage, "q");
    usleep(400000);
    assert_int_equal(ask(&stage, UNREAD), 1);
    assert_no_spin(&stage);
    ask(&stage, RESTORE);
    assert_mode(&stage, &pagers);
    ask(&stage, CONTINUE);
    user_set(&stage, 0, ICANON | ECHO);
    type(&stage, "\n");
    await_report(&stage, "q");
    stage_close(&stage);
}

/* The pager came later than the command's own keys, as if they shared the terminal: it has it. */
static void in_a_pipeline_the_mode_of_a_pager_is_not_undone(void **state) {
    static const struct script script = {.command = command_change_modes, .is_pipeline = true};
    struct stage stage;
    struct termios mode;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    type(&stage, "l\n");
    await_report(&stage, "lkeys");
    mode = stage.before;
    mode_of_keys(&mode);
    await_mode(&stage, &mode);
    mode = user_set(&stage, ISIG, 0);
    usleep(400000);
    assert_mode(&stage, &mode);
    type(&stage, "k");
    usleep(100000);
    assert_int_equal(ask(&stage, UNREAD), 1);
    ask(&stage, RESTORE);
    assert_mode(&stage, &mode);
    ask(&stage, CONTINUE);
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

static void in_a_pipeline_the_end_of_input_can_be_typed(void **state) {
    static const struct script script = {.command = command_read_to_end, .is_pipeline = true};
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

static void in_a_pipeline_the_end_may_be_the_first_thing_that_is_typed(void **state) {
    static const struct script script = {.command = command_read_nothing, .is_pipeline = true};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    type(&stage, "\x04");
    await_report(&stage, "end");
    assert_no_spin(&stage);
    stage_close(&stage);
}

static void command_draw(void) {
    tty_set_raw();
    CHECK(write(1, "a\nb", 3) == 3);
    command_idle();
}

/* Without the carriage return that the terminal's mode before would give it. */
static void in_a_pipeline_the_commands_mode_is_there_before_its_output(void **state) {
    static const struct script script = {.command = command_draw, .is_pipeline = true};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_screen(&stage, "a\nb");
    stage_close(&stage);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(it_is_raw_in_the_foreground_and_restored_bytewise),
    cmocka_unit_test(it_is_restored_at_the_end),
    cmocka_unit_test(a_raw_mode_is_never_taken_for_the_users),
    cmocka_unit_test(in_the_background_it_is_left_alone_until_the_job_comes_back),
    cmocka_unit_test(in_the_background_nothing_is_restored),
    cmocka_unit_test(in_the_background_output_is_written),
    cmocka_unit_test(what_the_shell_sets_meanwhile_is_the_commands_too),
    cmocka_unit_test(a_new_size_reaches_the_command_with_its_signal),
    cmocka_unit_test(in_a_pipeline_the_terminal_keeps_signals_and_lines),
    cmocka_unit_test(in_a_pipeline_the_terminal_is_given_back_when_the_command_is_done),
    cmocka_unit_test(in_a_pipeline_the_keys_of_a_pager_are_not_taken),
    cmocka_unit_test(in_a_pipeline_the_mode_of_a_pager_is_not_undone),
    cmocka_unit_test(in_a_pipeline_the_end_of_input_can_be_typed),
    cmocka_unit_test(in_a_pipeline_the_end_may_be_the_first_thing_that_is_typed),
    cmocka_unit_test(in_a_pipeline_the_commands_mode_is_there_before_its_output),
};

TEST_MAIN(tests)
