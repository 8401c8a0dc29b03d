/* A line that a terminal has edited is read from a pty as it was typed. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "launcher/terminal/line.h"
#include "tests/test.h"

/* What is off or else than the pty of a new terminal has it. */
struct mode_change {
    tcflag_t input_off, input_on, output_off, local_off, local_on;
    int index; /* in c_cc, and its key; 0, which is VINTR: none */
    cc_t key;
};

static const struct line_case {
    const char *what;
    struct mode_change change;
    const char *typed;
    size_t n;
    const char *bytes, *echo;
} line_cases[] = {
#define TYPED(text) text, sizeof(text) - 1
    {"a line", {0}, TYPED("hello\n"), "hello\n", "hello\r\n"},
    {"an empty line", {0}, TYPED("\n"), "\n", "\r\n"},
    {"no newline", {0}, TYPED("hello"), "hello\x04", "hello"},
    {"no bytes", {0}, TYPED(""), "\x04", ""},
    {"erase", {0}, TYPED("a\x7f\n"), "a\x16\x7f\n", "a^\b^?\r\n"},
    {"kill", {0}, TYPED("\x15\n"), "\x16\x15\n", "^\b^U\r\n"},
    {"end of file", {0}, TYPED("\x04\n"), "\x16\x04\n", "^\b^D\r\n"},
    {"interrupt", {0}, TYPED("\x03\n"), "\x16\x03\n", "^\b^C\r\n"},
    {"quit", {0}, TYPED("\x1c\n"), "\x16\x1c\n", "^\b^\\\r\n"},
    {"suspend", {0}, TYPED("\x1a\n"), "\x16\x1a\n", "^\b^Z\r\n"},
    {"start", {0}, TYPED("\x11\n"), "\x16\x11\n", "^\b^Q\r\n"},
    {"stop", {0}, TYPED("\x13\n"), "\x16\x13\n", "^\b^S\r\n"},
    {"quote", {0}, TYPED("\x16\n"), "\x16\x16\n", "^\b^V\r\n"},
    {"erase a word", {0}, TYPED("\x17\n"), "\x16\x17\n", "^\b^W\r\n"},
    {"reprint", {0}, TYPED("\x12\n"), "\x16\x12\n", "^\b^R\r\n"},
    {"a key that is last, without newline", {0}, TYPED("\x04"), "\x16\x04\x04", "^\b^D"},
    {"another control character", {0}, TYPED("\x01\t\n"), "\x01\t\n", "^A\t\r\n"},
    {"more than 7 bits", {0}, TYPED("\xc3\xa4\xff\n"), "\xc3\xa4\xff\n", "\xc3\xa4\xff\r\n"},
    {"carriage return", {0}, TYPED("a\rb\n"), "a\x16\rb\n", "a^\b^Mb\r\n"},
    {"carriage return, as it is", {.input_off = ICRNL}, TYPED("a\rb\n"), "a\rb\n", "a^Mb\r\n"},
    {"carriage return, ignored",
     {.input_off = ICRNL, .input_on = IGNCR},
     TYPED("\r\n"),
     "\x16\r\n",
     "^\b^M\r\n"},
    {"newline inside", {0}, TYPED("a\nb\n"), "a\x16\nb\n", "a^\b^Jb\r\n"},
    {"newlines are carriage returns", {.input_on = INLCR}, TYPED("a\n"), "a\r", "a\r\n"},
    {"no key is a newline",
     {.input_on = INLCR, .input_off = ICRNL},
     TYPED("a\n"),
     "a\x16\n\x04",
     "a^\b^J"},
    {"VEOL ends", {.index = VEOL, .key = ';'}, TYPED("a;"), "a;", "a;"},
    {"VEOL inside", {.index = VEOL, .key = ';'}, TYPED("a;b\n"), "a\x16;b\n", "a^\b;b\r\n"},
    {"VEOL2 ends", {.index = VEOL2, .key = ';'}, TYPED("a;"), "a;", "a;"},
    {"VEOL2 does not",
     {.index = VEOL2, .key = ';', .local_off = IEXTEN},
     TYPED("a;"),
     "a;\x04",
     "a;"},
    {"no echo", {.local_off = ECHO}, TYPED("a\x03\n"), "a\x16\x03\n", ""},
    {"only the newline's", {.local_off = ECHO, .local_on = ECHONL}, TYPED("a\n"), "a\n", "\r\n"},
    {"no carets", {.local_off = ECHOCTL}, TYPED("\x03\x01\n"), "\x16\x03\x01\n", "\x03\x01\r\n"},
    {"no carets, newline inside", {.local_off = ECHOCTL}, TYPED("\n\n"), "\x16\n\n", "\r\n\r\n"},
    {"no processing", {.output_off = OPOST}, TYPED("a\n"), "a\n", "a\n"},
    {"no carriage returns", {.output_off = ONLCR}, TYPED("a\n"), "a\n", "a\n"},
    {"no quoting",
     {.local_off = IEXTEN},
     TYPED("a\x17\x12\x16\n"),
     "a\x17\x12\x16\n",
     "a^W^R^V\r\n"},
    {"no key for it",
     {.index = VLNEXT, .key = _POSIX_VDISABLE},
     TYPED("a\x16\n"),
     "a\x16\n",
     "a^V\r\n"},
    {"another key for it",
     {.index = VLNEXT, .key = '%'},
     TYPED("%\x03\n"),
     "%%%\x03\n",
     "^\b%^\b^C\r\n"},
    {"disabled", {.index = VSUSP, .key = _POSIX_VDISABLE}, TYPED("\x1a\n"), "\x1a\n", "^Z\r\n"},
    {"no end of file", {.index = VEOF, .key = _POSIX_VDISABLE}, TYPED("a\x04"), "a\x04", "a^D"},
    {"marked bytes",
     {.input_on = PARMRK},
     TYPED("\xff\xff"
           "a\n"),
     "\xff"
     "a\n",
     "\xff"
     "a\r\n"},
    {"no line editing", {.local_off = ICANON}, TYPED("a\x04\x15"), "a\x04\x15", "a^D^U"},
    {"no line editing, nothing", {.local_off = ICANON}, TYPED(""), "", ""},
};

static struct termios mode_change(const struct termios *before, const struct mode_change *change) {
    struct termios mode = *before;

    mode.c_iflag = (mode.c_iflag & ~change->input_off) | change->input_on;
    mode.c_oflag &= ~change->output_off;
    mode.c_lflag = (mode.c_lflag & ~change->local_off) | change->local_on;
    if (change->index != 0)
        mode.c_cc[change->index] = change->key;
    return mode;
}

struct pty {
    int master, slave;
    struct termios before;
};

/* The master is a keyboard without a session: nobody gets its signals. */
static void pty_open(struct pty *pty) {
    memset(pty, 0, sizeof(*pty));
    assert_int_equal(openpty(&pty->master, &pty->slave, NULL, NULL, NULL), 0);
    assert_int_equal(tcgetattr(pty->slave, &pty->before), 0);
    assert_int_equal(fcntl(pty->master, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(pty->slave, F_SETFL, O_NONBLOCK), 0);
}

static void pty_close(const struct pty *pty) {
    close(pty->master);
    close(pty->slave);
}

/* Returns 0 as well if there is nothing: *@hasp tells. */
static size_t pty_read(int fd, char *bytes, size_t size, bool *hasp) {
    size_t n = 0;
    ssize_t more;

    *hasp = false;
    do {
        struct pollfd ready = {.fd = fd, .events = POLLIN};

        (void)poll(&ready, 1, 0); /* the line discipline does its work */
        more = read(fd, bytes + n, size - n);
        assert_true(more >= 0 || errno == EAGAIN);
        *hasp = *hasp || more >= 0;
        n += more > 0 ? (size_t)more : 0;
    } while (more > 0 && n < size);
    return n;
}

static void assert_bytes(const char *bytes, size_t n, const char *expected, size_t n_expected) {
    assert_int_equal(n, n_expected);
    assert_memory_equal(bytes, expected, n);
}

/* What line_cook() gives for @typed is read from a pty as @typed, and echoed as it says. */
static void assert_is_read(const struct pty *pty, const struct termios *mode, const char *typed,
                           size_t n, const char *expected, size_t n_expected) {
    static struct line line;
    static char bytes[4 * LINE_MAX_BYTES + 8];
    size_t n_read;
    bool has_any;

    assert_int_equal(tcsetattr(pty->slave, TCSANOW, mode), 0);
    line_cook(&line, mode, typed, n);
    assert_int_equal(write(pty->master, line.bytes, line.n_bytes), line.n_bytes);
    n_read = pty_read(pty->slave, bytes, sizeof(bytes), &has_any);
    assert_true(has_any || (mode->c_lflag & ICANON) == 0);
    assert_bytes(bytes, n_read, expected, n_expected);
    n_read = pty_read(pty->master, bytes, sizeof(bytes), &has_any);
    assert_bytes(bytes, n_read, line.echo, line.n_echo);
}

static void what_is_typed_is_quoted_ended_and_echoed(void **state) {
    static struct line line;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(line_cases); i++) {
        const struct line_case *c = &line_cases[i];
        struct termios mode;
        struct pty pty;

        print_message("%s\n", c->what);
        pty_open(&pty);
        mode = mode_change(&pty.before, &c->change);
        line_cook(&line, &mode, c->typed, c->n);
        assert_bytes(line.bytes, line.n_bytes, c->bytes, strlen(c->bytes));
        assert_bytes(line.echo, line.n_echo, c->echo, strlen(c->echo));
        /* That table is what the kernel does. The key that ends must be there. */
        if (c->change.index != VEOF)
            assert_is_read(&pty, &mode, c->typed, c->n, c->typed, c->n);
        pty_close(&pty);
    }
}

static void the_longest_line_may_be_all_keys(void **state) {
    static const char ends[] = {'\n', '\x04'};
    static char typed[LINE_MAX_BYTES];
    struct termios mode;
    struct pty pty;

    (void)state;
    pty_open(&pty);
    mode = pty.before;
    mode.c_lflag &= ~(tcflag_t)ECHO; /* of so much, the kernel drops some */
    for (size_t i = 0; i < BASE_ARRAY_SIZE(ends); i++) {
        size_t n = ends[i] == '\n' ? sizeof(typed) : sizeof(typed) - 1;

        memset(typed, '\x03', sizeof(typed));
        if (ends[i] == '\n')
            typed[n - 1] = '\n';
        assert_is_read(&pty, &mode, typed, n, typed, n);
    }
    pty_close(&pty);
}

/* Whatever it is given, it stays in its bounds. */
static void nothing_is_written_past_the_end(void **state) {
    static char typed[LINE_MAX_BYTES];
    struct line *line = malloc(sizeof(*line));
    struct termios mode = {.c_iflag = INLCR, .c_oflag = OPOST | ONLCR};

    (void)state;
    assert_non_null(line);
    for (int byte = 0; byte < 256; byte++) {
        memset(typed, byte, sizeof(typed));
        for (int i = 0; i < 4; i++) {
            mode.c_lflag = IEXTEN | ECHO | (i % 2 ? ECHOCTL : 0) | (i / 2 ? ICANON : 0);
            memset(mode.c_cc, 0xff, sizeof(mode.c_cc));
            mode.c_cc[VERASE] = (cc_t)byte;
            line_cook(line, &mode, typed, sizeof(typed));
            test_assert_in_range(line->n_bytes, sizeof(typed), sizeof(line->bytes));
            test_assert_in_range(line->n_echo, 0, sizeof(line->echo));
        }
    }
    free(line);
}

/* xorshift: the same numbers each time. */
static unsigned random_next(unsigned below) {
    static uint32_t x = 2463534242;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x % below;
}

static tcflag_t random_flags(tcflag_t flags, const tcflag_t *candidates, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (random_next(4) == 0)
            flags ^= candidates[i];
    return flags;
}

/* A key is for one thing only, and not for newline or carriage return. */
static void random_keys(struct termios *mode) {
    static const int indices[] = {VERASE, VKILL,  VEOL,  VEOL2,  VINTR,   VQUIT,
                                  VSUSP,  VSTART, VSTOP, VLNEXT, VWERASE, VREPRINT};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(indices); i++) {
        cc_t key = (cc_t)(random_next(4) == 0 ? random_next(128) : _POSIX_VDISABLE);

        if (random_next(6) == 0 && key != '\n' && key != '\r' &&
            memchr(mode->c_cc, key, NCCS) == NULL)
            mode->c_cc[indices[i]] = key;
        else if (random_next(8) == 0)
            mode->c_cc[indices[i]] = _POSIX_VDISABLE;
    }
}

static struct termios random_mode(const struct termios *before) {
    static const tcflag_t input[] = {ICRNL, INLCR, IGNCR, ISTRIP, PARMRK, IXON, IXANY, IUTF8},
                          local[] = {ECHO, ECHOCTL, ECHONL, ECHOE, ECHOK, IEXTEN, ISIG, NOFLSH},
                          output[] = {OPOST, ONLCR};
    struct termios mode = *before;

    mode.c_iflag = random_flags(mode.c_iflag, input, BASE_ARRAY_SIZE(input));
    mode.c_lflag = random_flags(mode.c_lflag, local, BASE_ARRAY_SIZE(local));
    mode.c_oflag = random_flags(mode.c_oflag, output, BASE_ARRAY_SIZE(output));
    random_keys(&mode);
    /* Without quoting, a terminal with INLCR has bytes that can be typed in one way only. */
    if ((mode.c_iflag & INLCR) != 0) {
        mode.c_lflag |= IEXTEN;
        mode.c_cc[VLNEXT] = before->c_cc[VLNEXT];
    }
    return mode;
}

/* Keys as a user may press them, many of them special; ends as often as not by a key that ends. */
static size_t random_typed(const struct termios *mode, char *keys, size_t size) {
    size_t n = random_next((unsigned)size - 2);

    for (size_t i = 0; i < n; i++)
        switch (random_next(4)) {
        case 0:
            keys[i] = (char)random_next(256);
            break;
        case 1:
            keys[i] = (char)mode->c_cc[random_next(VEOL2 + 1)];
            break;
        case 2:
            keys[i] = (char)mode->c_cc[VLNEXT];
            break;
        default:
            keys[i] = (char)('a' + random_next(26));
        }
    keys[n++] = random_next(2) == 0 ? '\r' : random_next(2) == 0 ? '\n' : (char)mode->c_cc[VEOF];
    return n;
}

/* One pty edits what is typed, as the terminal does, and the other gets what line_cook() makes. */
static void any_line_in_any_mode_is_read_as_it_was_typed(void **state) {
    static char keys[64], typed[LINE_MAX_BYTES], bytes[8192];
    size_t n_lines = 0, n_ends = 0;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct pty terminal, pty;
        struct termios mode;
        size_t n;
        bool has_any;

        pty_open(&terminal);
        pty_open(&pty);
        mode = random_mode(&terminal.before);
        assert_int_equal(tcsetattr(terminal.slave, TCSANOW, &mode), 0);
        n = random_typed(&mode, keys, sizeof(keys));
        assert_int_equal(write(terminal.master, keys, n), n);
        for (;;) {
            struct pollfd ready = {.fd = terminal.slave, .events = POLLIN};
            size_t n_expected = 0;
            ssize_t n_typed;

            (void)poll(&ready, 1, 0);
            n_typed = read(terminal.slave, typed, sizeof(typed));
            if (n_typed < 0)
                break;
            /* The marked byte is one byte for the pty, which marks it again. */
            n_expected = (size_t)n_typed;
            n_lines++;
            n_ends += n_typed == 0;
            assert_is_read(&pty, &mode, typed, (size_t)n_typed, typed, n_expected);
        }
        (void)pty_read(terminal.master, bytes, sizeof(bytes), &has_any);
        pty_close(&terminal);
        pty_close(&pty);
    }
    print_message("%zu lines, %zu ends\n", n_lines, n_ends);
    test_assert_in_range(n_lines, 5000, 1000000);
    test_assert_in_range(n_ends, 50, 1000000);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_typed_is_quoted_ended_and_echoed),
    cmocka_unit_test(the_longest_line_may_be_all_keys),
    cmocka_unit_test(nothing_is_written_past_the_end),
    cmocka_unit_test(any_line_in_any_mode_is_read_as_it_was_typed),
};

TEST_MAIN(tests)
