/* What is typed reaches the command, and what it writes the user: all of it, unchanged, in order.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/param.h>
#include <time.h>

#include "launcher/terminal/terminal.h"
#include "tests/test.h"
#include "tests/unit/terminal-stage.h"

enum {
    OUTPUT_SIZE = 1 << 20,
    INPUT_SIZE = 200000,
    STOPPED_SIZE = TERMINAL_OUTPUT_SIZE + 3000, /* the relay's buffer is full, and the pty is not */
    LAST_SIZE = 6000,                           /* a pty holds it */
    N_LINES = 300,
};

/* Does not repeat with the size of any buffer. */
static char byte_at(size_t i) {
    return (char)(i % 251 ^ i / 251 % 253);
}

static void command_echo(void) {
    tty_set_raw();
    say("ready");
    for (;;) {
        char byte = hear();

        CHECK(write(1, &byte, 1) == 1);
    }
}

static void every_byte_passes_both_ways_unchanged(void **state) {
    static const struct script script = {.command = command_echo};
    struct stage stage;
    struct termios raw;
    unsigned char typed[256], seen[256];

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    raw = raw_of(stage.before);
    await_mode(&stage, &raw);
    for (size_t i = 0; i < sizeof(typed); i++)
        typed[i] = (unsigned char)i;
    assert_int_equal(write(stage.keyboard, typed, sizeof(typed)), sizeof(typed));
    for (size_t n = 0; n < sizeof(seen);) {
        size_t more = screen_read(&stage, (char *)seen + n, sizeof(seen) - n, 5000);

        assert_int_not_equal(more, 0);
        n += more;
    }
    assert_memory_equal(seen, typed, sizeof(typed));
    stage_close(&stage);
}

/* Writes @n bytes, and says so. */
static void write_much(size_t n_bytes) {
    static char bytes[OUTPUT_SIZE];

    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = byte_at(i);
    tty_set_raw_with_stop();
    say("ready");
    for (size_t at = 0; at < n_bytes;) {
        ssize_t n = write(1, bytes + at, n_bytes - at);

        CHECK(n > 0);
        at += (size_t)n;
    }
}

static void command_write_much(void) {
    write_much(OUTPUT_SIZE);
    say("written");
}

/* Reads the rest of the screen behind @at, until it is complete. */
static void screen_expect_rest(const struct stage *stage, size_t at, size_t n_bytes) {
    static char bytes[OUTPUT_SIZE];

    while (at < n_bytes) {
        size_t n = screen_read(stage, bytes, n_bytes - at, 5000);

        assert_int_not_equal(n, 0);
        for (size_t i = 0; i < n; i++)
            if (bytes[i] != byte_at(at + i))
                fail_msg("byte %zu is not what was written", at + i);
        at += n;
    }
}

static void much_output_arrives_also_at_a_slow_terminal(void **state) {
    static const struct script script = {.command = command_write_much};
    struct stage stage;
    char bytes[777];
    size_t at = 0;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    for (int i = 0; i < 300; i++) {
        size_t n = screen_read(&stage, bytes, sizeof(bytes), 5000);

        for (size_t j = 0; j < n; j++)
            assert_int_equal(bytes[j], byte_at(at + j));
        at += n;
        usleep(1000);
    }
    screen_expect_rest(&stage, at, OUTPUT_SIZE);
    await_report(&stage, "written");
    stage_close(&stage);
}

/* Ctrl-S, on the side of the user: nothing moves, nothing is lost, and nobody is kept busy. */
static void a_stopped_terminal_does_not_block_the_relay(void **state) {
    static const struct script script = {.command = command_write_much};
    struct stage stage;
    struct pollfd reported;
    struct termios raw;
    char bytes[64];

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    raw = raw_of(stage.before);
    raw.c_iflag |= IXON;
    await_mode(&stage, &raw);
    type(&stage, "\x13");
    while (screen_read(&stage, bytes, sizeof(bytes), 200) > 0)
        ;
    assert_no_spin(&stage);
    reported = (struct pollfd){.fd = stage.report, .events = POLLIN};
    assert_int_equal(poll(&reported, 1, 0), 0); /* it waits: what is buffered has an end */
    ask(&stage, RESTORE);                       /* does not wait for the terminal, either */
    ask(&stage, CONTINUE);
    close(stage.keyboard);
    stage.keyboard = -1;
    stage_close(&stage);
}

static void command_write_when_told(void) {
    tty_set_raw_with_stop();
    say("ready");
    (void)hear();
    write_much(STOPPED_SIZE);
    for (int i = 0; i < 3; i++)
        close(i);
    say("closed");
    command_idle();
}

/* All that there is to wait for is the terminal, but the pty has a hangup to tell. */
static void a_stopped_terminal_and_a_closed_pty_keep_nobody_busy(void **state) {
    static const struct script script = {.command = command_write_when_told};
    struct stage stage;
    struct termios raw;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    raw = raw_of(stage.before);
    raw.c_iflag |= IXON;
    await_mode(&stage, &raw);
    type(&stage, "\x13w");
    await_report(&stage, "readyclosed");
    assert_no_spin(&stage);
    type(&stage, "\x11");
    screen_expect_rest(&stage, 0, STOPPED_SIZE);
    stage_close(&stage);
}

static void command_read_late(void) {
    tty_set_raw();
    say("ready");
    usleep(300000);
    for (size_t i = 0; i < INPUT_SIZE; i++)
        CHECK(hear() == byte_at(i));
    say("read");
    command_idle();
}

/* Pasted faster than it is read. */
static void much_input_arrives_when_the_command_reads_it(void **state) {
    static const struct script script = {.command = command_read_late};
    static char bytes[INPUT_SIZE];
    struct stage stage;
    struct termios raw;
    size_t at = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = byte_at(i);
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    raw = raw_of(stage.before);
    await_mode(&stage, &raw);
    assert_int_equal(fcntl(stage.keyboard, F_SETFL, O_NONBLOCK), 0);
    while (at < sizeof(bytes)) {
        struct pollfd writable = {.fd = stage.keyboard, .events = POLLOUT};
        ssize_t n = write(stage.keyboard, bytes + at, sizeof(bytes) - at);

        assert_true(n > 0 || errno == EAGAIN);
        at += n > 0 ? (size_t)n : 0;
        assert_int_equal(poll(&writable, 1, 5000), 1);
    }
    await_report(&stage, "read");
    stage_close(&stage);
}

/*
 * Ends.
 */

static void command_write_and_end(void) {
    write_much(LAST_SIZE);
}

static void what_was_written_last_is_relayed_after_the_end(void **state) {
    static const struct script script = {.command = command_write_and_end, .is_late = true};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    screen_expect_rest(&stage, 0, LAST_SIZE);
    stage_close(&stage);
}

static void command_leave_writers(void) {
    static char noise[4096];

    (void)signal(SIGHUP, SIG_IGN);
    for (int i = 0; i < 4; i++)
        if (fork() == 0)
            while (write(1, noise, sizeof(noise)) > 0)
                ;
    usleep(50000);
}

static void command_leave_a_silent_process(void) {
    (void)signal(SIGHUP, SIG_IGN);
    if (fork() == 0) {
        usleep(3000000);
        _exit(0);
    }
    write_much(LAST_SIZE);
}

static double seconds_now(void) {
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void stage_close_within(struct stage *stage, double least, double most) {
    double before = seconds_now(), seconds;

    stage_close(stage);
    seconds = seconds_now() - before;
    if (seconds < least || seconds > most)
        fail_msg("it took %g seconds", seconds);
}

static void a_silent_process_in_the_background_delays_the_end_little(void **state) {
    static const struct script script = {.command = command_leave_a_silent_process};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    screen_expect_rest(&stage, 0, LAST_SIZE);
    stage_close_within(&stage, 0, 1);
}

static void writers_in_the_background_do_not_keep_it_from_ending(void **state) {
    static const struct script script = {.command = command_leave_writers, .is_late = true};
    struct stage stage;
    static char bytes[1 << 17];
    double before = seconds_now();
    size_t n = 0, more;

    (void)state;
    stage_open(&stage, &script);
    do {
        more = screen_read(&stage, bytes + n, sizeof(bytes) - n, 5000);
        n += more;
    } while (more > 0 && n < sizeof(bytes));
    test_assert_in_range(n, 5, sizeof(bytes) - 1);
    assert_true(seconds_now() - before < 1);
    stage_close(&stage);
}

/* More than the terminal, the relay and the pty hold together is never taken. */
static void a_stopped_terminal_does_not_keep_it_from_ending(void **state) {
    static const struct script script = {.command = command_write_much};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    usleep(100000);
    stage_close_within(&stage, 1.5, 4);
}

static void command_write_past_a_hangup(void) {
    CHECK(signal(SIGHUP, SIG_IGN) != SIG_ERR);
    say("ready");
    while (write(1, "more", 4) == 4)
        usleep(1000);
    say(errno == EIO ? "hangup" : "else");
    usleep(1500000); /* nothing else would end it */
}

/* As on the terminal itself. */
static void a_hung_up_terminal_hangs_the_pty_up_and_nobody_is_kept_busy(void **state) {
    static const struct script script = {.command = command_write_past_a_hangup};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    close(stage.keyboard);
    stage.keyboard = -1;
    await_report(&stage, "hangup");
    assert_no_spin(&stage);
    ask(&stage, RESTORE);
    ask(&stage, CONTINUE);
    assert_no_spin(&stage);
    stage_close_within(&stage, 0, 1);
}

static void command_await_hangup(void) {
    sigset_t signals;
    int number;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGHUP);
    CHECK(sigprocmask(SIG_BLOCK, &signals, NULL) == 0);
    say("ready");
    CHECK(sigwait(&signals, &number) == 0 && number == SIGHUP);
    say("hangup");
}

static void a_command_is_told_of_a_hangup(void **state) {
    static const struct script script = {.command = command_await_hangup};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    close(stage.keyboard);
    stage.keyboard = -1;
    await_report(&stage, "hangup");
    stage_close_within(&stage, 0, 1);
}

static void command_come_back(void) {
    int fd;

    tty_set_raw();
    for (int i = 0; i < 3; i++)
        close(i);
    say("ready");
    usleep(1000000);
    fd = open("/dev/tty", O_RDWR);
    CHECK(fd >= 0 && write(fd, "back", 4) == 4);
    CHECK(dup2(fd, 1) == 1);
    CHECK(hear() == 't' && hear() == 'y');
    say("typed");
    command_idle();
}

static void a_pty_that_was_closed_may_be_opened_again(void **state) {
    static const struct script script = {.command = command_come_back};
    struct stage stage;

    (void)state;
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    assert_no_spin(&stage);
    type(&stage, "ty"); /* nobody can read it yet */
    assert_no_spin(&stage);
    await_screen(&stage, "back");
    await_report(&stage, "typed");
    stage_close(&stage);
}

static void command_read_lines_late(void) {
    char line[128], expected[128];

    say("ready");
    usleep(200000);
    for (int i = 0; i < N_LINES; i++) {
        size_t n = 0;

        do
            line[n] = hear();
        while (line[n++] != '\n');
        line[n] = '\0';
        (void)snprintf(expected, sizeof(expected), "line %d of those that are pasted\n", i);
        CHECK(strcmp(line, expected) == 0);
    }
    say("read");
    command_idle();
}

/* Line by line, each when the command has read the one before. */
static void pasted_lines_arrive_when_the_command_reads_them(void **state) {
    static const struct script script = {.command = command_read_lines_late};
    static char text[N_LINES * 64], bytes[1024];
    struct stage stage;
    size_t at = 0, n = 0;

    (void)state;
    for (int i = 0; i < N_LINES; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "line %d of those that are pasted\r", i);
    stage_open(&stage, &script);
    await_report(&stage, "ready");
    assert_int_equal(fcntl(stage.keyboard, F_SETFL, O_NONBLOCK), 0);
    while (at < n) {
        struct pollfd writable = {.fd = stage.keyboard, .events = POLLOUT};
        ssize_t written = write(stage.keyboard, text + at, MIN(n - at, 100));

        assert_true(written > 0 || errno == EAGAIN);
        at += written > 0 ? (size_t)written : 0;
        (void)screen_read(&stage, bytes, sizeof(bytes), 0);
        (void)poll(&writable, 1, 10);
        if (ask(&stage, UNREAD) > 2000) /* a terminal holds 4,096 bytes, and loses more */
            usleep(10000);
    }
    await_report(&stage, "read");
    stage_close(&stage);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_byte_passes_both_ways_unchanged),
    cmocka_unit_test(much_output_arrives_also_at_a_slow_terminal),
    cmocka_unit_test(a_stopped_terminal_does_not_block_the_relay),
    cmocka_unit_test(a_stopped_terminal_and_a_closed_pty_keep_nobody_busy),
    cmocka_unit_test(much_input_arrives_when_the_command_reads_it),
    cmocka_unit_test(pasted_lines_arrive_when_the_command_reads_them),
    cmocka_unit_test(what_was_written_last_is_relayed_after_the_end),
    cmocka_unit_test(a_silent_process_in_the_background_delays_the_end_little),
    cmocka_unit_test(writers_in_the_background_do_not_keep_it_from_ending),
    cmocka_unit_test(a_stopped_terminal_does_not_keep_it_from_ending),
    cmocka_unit_test(a_hung_up_terminal_hangs_the_pty_up_and_nobody_is_kept_busy),
    cmocka_unit_test(a_command_is_told_of_a_hangup),
    cmocka_unit_test(a_pty_that_was_closed_may_be_opened_again),
};

TEST_MAIN(tests)
