/* Which of 0, 1 and 2 are the user's terminal, and the pty that stands for it. */

#include "launcher/terminal/mode.h"
#include "launcher/terminal/open.h"
#include "launcher/terminal/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/test.h"

/* In a child, where cmocka's assertions do not reach. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            dprintf(spare_stderr, "%s:%d: " #condition "\n", __FILE__, __LINE__);                  \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static int spare_stderr = 2;

enum kind { NOTHING, CLOSED, PIPE, SOCKET, MASTER, OWN_MASTER, TERMINAL, ALIAS, OTHER, N_KINDS };

struct ptys {
    int master, user, other_master, other;
};

static void ptys_open(struct ptys *ptys) {
    assert_int_equal(openpty(&ptys->master, &ptys->user, NULL, NULL, NULL), 0);
    assert_int_equal(openpty(&ptys->other_master, &ptys->other, NULL, NULL, NULL), 0);
}

static void ptys_close(struct ptys *ptys) {
    close(ptys->master);
    close(ptys->user);
    close(ptys->other_master);
    close(ptys->other);
}

static int kind_open(enum kind kind, const struct ptys *ptys) {
    int ends[2] = {-1, -1};

    switch (kind) {
    case NOTHING:
        return open("/dev/null", O_RDWR);
    case PIPE:
        CHECK(pipe(ends) == 0);
        return ends[1];
    case SOCKET:
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        return ends[1];
    case MASTER:
        return ptys->other_master;
    case OWN_MASTER:
        return ptys->master;
    case TERMINAL:
        return ptys->user;
    case ALIAS:
        return open("/dev/tty", O_RDWR);
    case OTHER:
        return ptys->other;
    default:
        return -1;
    }
}

/* Makes 0, 1 and 2 what @kinds says, the terminal the session's own if @is_controlling. */
static void standard_set(const enum kind kinds[3], const struct ptys *ptys, bool is_controlling) {
    int fds[3];

    spare_stderr = fcntl(2, F_DUPFD_CLOEXEC, 100);
    CHECK(setsid() > 0);
    CHECK(!is_controlling || ioctl(ptys->user, TIOCSCTTY, 0) == 0);
    for (int i = 0; i < 3; i++) {
        int fd = kind_open(kinds[i], ptys);

        CHECK(fd >= 0 || kinds[i] == CLOSED);
        fds[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD, 50);
    }
    for (int i = 0; i < 3; i++)
        CHECK((fds[i] < 0 ? close(i) : dup2(fds[i], i)) >= 0);
}

static bool is_own(int fd) {
    return fd > 2 && fcntl(fd, F_GETFD) == FD_CLOEXEC;
}

static bool is_nonblocking(int fd) {
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

static void check_opened(const struct terminal *terminal, bool is_any) {
    struct terminal nothing = TERMINAL_NULL;
    struct pollfd ready;

    if (is_any) {
        CHECK(is_own(terminal->fd) && is_nonblocking(terminal->fd) && is_own(terminal->events));
        CHECK(is_own(terminal->master) && is_nonblocking(terminal->master));
        CHECK(is_own(terminal->slave) && !is_nonblocking(terminal->slave));
        return;
    }
    CHECK(terminal->fd == -1 && terminal->master == -1 && terminal->slave == -1);
    CHECK(terminal_prepare_poll(&nothing, &ready) == -1);
    CHECK(poll(&ready, 1, 0) == 0);
    terminal_relay(&nothing);
    terminal_continue(&nothing);
    terminal_signal(&nothing, SIGINT);
    CHECK(terminal_resize_pty(&nothing) == 0);
    terminal_restore_mode(&nothing);
    terminal_drain(&nothing);
    terminal_close(&nothing);
}

/* The session's own terminal is the command's, whatever 0, 1 and 2 are; no other is. */
static void check_kinds(const enum kind kinds[3], const struct ptys *ptys, bool is_controlling) {
    struct terminal terminal;

    standard_set(kinds, ptys, is_controlling);
    CHECK(terminal_open(&terminal) == 0);
    for (int i = 0; i < 3; i++) {
        bool is_terminal = kinds[i] == TERMINAL || kinds[i] == ALIAS;
        bool is_master = kinds[i] == MASTER || kinds[i] == OWN_MASTER;

        CHECK(terminal.is_standard[i] == (is_controlling && is_terminal));
        CHECK(kinds[i] == CLOSED ? fcntl(i, F_GETFD) < 0 : is_master || !is_nonblocking(i));
    }
    check_opened(&terminal, is_controlling);
    CHECK(!is_controlling || tcgetsid(terminal.fd) == getsid(0));
    terminal_close(&terminal);
    CHECK(terminal.fd == -1 && terminal.master == -1 && terminal.slave == -1);
    _exit(0);
}

static void in_child_end(pid_t pid, const char *what) {
    int status;

    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("%s", what);
}

static void the_sessions_own_terminal_is_replaced_and_no_other(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_KINDS * N_KINDS * N_KINDS; i++) {
        const enum kind kinds[] = {(enum kind)(i / 2 / N_KINDS / N_KINDS),
                                   (enum kind)(i / 2 / N_KINDS % N_KINDS),
                                   (enum kind)(i / 2 % N_KINDS)};
        const bool is_controlling = i % 2 == 0;
        char what[32];
        struct ptys ptys;
        pid_t pid;

        if (!is_controlling && (kinds[0] == ALIAS || kinds[1] == ALIAS || kinds[2] == ALIAS))
            continue;
        ptys_open(&ptys);
        (void)snprintf(what, sizeof(what), "%d %d %d, controlling: %d", (int)kinds[0],
                       (int)kinds[1], (int)kinds[2], is_controlling);
        pid = fork();
        if (pid == 0)
            check_kinds(kinds, &ptys, is_controlling);
        in_child_end(pid, what);
        ptys_close(&ptys);
    }
}

/* What is nobody's default. */
static void user_prepare(int user, struct termios *modep, struct winsize *sizep) {
    *sizep = (struct winsize){.ws_row = 33, .ws_col = 77, .ws_xpixel = 5, .ws_ypixel = 6};
    assert_int_equal(ioctl(user, TIOCSWINSZ, sizep), 0);
    memset(modep, 0, sizeof(*modep));
    assert_int_equal(tcgetattr(user, modep), 0);
    modep->c_cc[VINTR] = 'x';
    modep->c_cc[VSUSP] = _POSIX_VDISABLE;
    modep->c_iflag |= IUTF8 | IXANY;
    modep->c_oflag |= OLCUC;
    modep->c_lflag &= ~(tcflag_t)ECHOCTL;
    assert_int_equal(cfsetispeed(modep, B1200), 0);
    assert_int_equal(cfsetospeed(modep, B1200), 0);
    assert_int_equal(tcsetattr(user, TCSANOW, modep), 0);
    assert_int_equal(tcgetattr(user, modep), 0);
}

static void mode_and_size_of_the_terminal_are_the_ptys(void **state) {
    static const enum kind kinds[] = {TERMINAL, TERMINAL, TERMINAL};
    struct ptys ptys;
    struct winsize size;
    struct termios mode;
    pid_t pid;

    (void)state;
    ptys_open(&ptys);
    user_prepare(ptys.user, &mode, &size);
    pid = fork();
    if (pid == 0) {
        struct terminal terminal;
        struct winsize pty_size;
        struct termios pty_mode = {0};

        standard_set(kinds, &ptys, true);
        CHECK(terminal_open(&terminal) == 0);
        CHECK(tcgetattr(terminal.slave, &pty_mode) == 0);
        CHECK(memcmp(&mode, &pty_mode, sizeof(mode)) == 0);
        CHECK(ioctl(terminal.slave, TIOCGWINSZ, &pty_size) == 0);
        CHECK(memcmp(&size, &pty_size, sizeof(size)) == 0);
        /* Only opened: the terminal itself is as it was. */
        CHECK(tcgetattr(ptys.user, &pty_mode) == 0);
        CHECK(memcmp(&mode, &pty_mode, sizeof(mode)) == 0);
        _exit(0);
    }
    in_child_end(pid, "the child");
    ptys_close(&ptys);
}

static void the_sessions_own_terminal_can_be_opened_by_anybody(void **state) {
    static const enum kind kinds[] = {TERMINAL, TERMINAL, TERMINAL};
    struct ptys ptys;
    pid_t pid;

    (void)state;
    ptys_open(&ptys);
    assert_int_equal(fchmod(ptys.user, 0), 0);
    pid = fork();
    if (pid == 0) {
        struct terminal terminal;

        standard_set(kinds, &ptys, true);
        CHECK(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
        CHECK(terminal_open(&terminal) == 0);
        check_opened(&terminal, true);
        _exit(0);
    }
    in_child_end(pid, "the child");
    ptys_close(&ptys);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_sessions_own_terminal_is_replaced_and_no_other),
    cmocka_unit_test(mode_and_size_of_the_terminal_are_the_ptys),
    cmocka_unit_test(the_sessions_own_terminal_can_be_opened_by_anybody),
};

TEST_MAIN(tests)
