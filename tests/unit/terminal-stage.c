#include "tests/unit/terminal-stage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "launcher/terminal/mode.h"
#include "launcher/terminal/open.h"
#include "launcher/terminal/relay.h"
#include "tests/test.h"

int stage_stderr = 2, stage_report = -1;
static int n_rounds, n_signals;
static pid_t command_pid;

/*
 * The player.
 */

static pid_t command_start(struct terminal *terminal, const struct script *script) {
    sigset_t none;
    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid > 0) {
        close(stage_report);
        return pid;
    }
    CHECK(setsid() > 0 && ioctl(terminal->slave, TIOCSCTTY, 0) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(!terminal->is_standard[i] || dup2(terminal->slave, i) == i);
    (void)close(terminal->slave);
    (void)close(terminal->master);
    (void)close(terminal->fd);
    (void)close(terminal->events);
    CHECK(signal(SIGHUP, SIG_DFL) != SIG_ERR); /* the shell ignores it */
    (void)sigemptyset(&none);
    CHECK(sigprocmask(SIG_SETMASK, &none, NULL) == 0);
    script->command();
    _exit(0);
}

/* A little later, and by a process that is nobody's child: the player is told by nothing. */
static int foreground_take(int fd) {
    pid_t parent = fork();

    if (parent == 0 && fork() == 0) {
        usleep(100000);
        CHECK(tcsetpgrp(fd, getpgrp()) == 0);
    }
    if (parent == 0)
        _exit(0);
    return waitpid(parent, NULL, 0) == parent ? 0 : -1;
}

static int obey(struct terminal *terminal, char order) {
    int n = 0;

    switch (order) {
    case RESTORE:
        terminal_restore_mode(terminal);
        return 0;
    case CONTINUE:
        terminal_continue(terminal);
        return 0;
    case RESIZE:
        return terminal_resize_pty(terminal);
    case BACKGROUND:
        return tcsetpgrp(terminal->fd, getsid(0));
    case FOREGROUND:
        return foreground_take(terminal->fd);
    case UNREAD:
        CHECK(ioctl(terminal->fd, FIONREAD, &n) == 0);
        return n;
    case ROUNDS:
        return n_rounds;
    case SIGNALS:
        return n_signals;
    case IN_FRONT:
        return tcgetpgrp(terminal->master) == command_pid;
    default:
        CHECK(!"an order");
        return -1;
    }
}

/* Returns false if the test is gone. */
static bool control_serve(struct terminal *terminal, int control) {
    bool is_stopped = false;
    char order;

    do {
        int answer;

        if (recv(control, &order, 1, 0) != 1)
            return false;
        answer = obey(terminal, order);
        if (send(control, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer))
            return false;
        is_stopped = order == RESTORE || (is_stopped && order != CONTINUE);
    } while (is_stopped);
    return true;
}

/* Returns false if the command has ended. */
static bool signals_serve(struct terminal *terminal, int signal_fd) {
    struct signalfd_siginfo info;

    CHECK(read(signal_fd, &info, sizeof(info)) == sizeof(info));
    if (info.ssi_signo == SIGCHLD)
        return waitpid(command_pid, NULL, WNOHANG) != command_pid;
    CHECK(info.ssi_code == SI_KERNEL);
    n_signals++;
    terminal_signal(terminal, (int)info.ssi_signo);
    return true;
}

static void relay_until_end(struct terminal *terminal, int control) {
    static const int numbers[] = {SIGCHLD, SIGINT, SIGQUIT, SIGTSTP};
    sigset_t signals;
    int signal_fd;

    (void)sigemptyset(&signals);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(numbers); i++)
        (void)sigaddset(&signals, numbers[i]);
    signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    CHECK(signal_fd >= 0);
    for (;;) {
        struct pollfd fds[3] = {{.fd = signal_fd, .events = POLLIN},
                                {.fd = control, .events = POLLIN}};
        int timeout = terminal_prepare_poll(terminal, &fds[2]);

        CHECK(poll(fds, BASE_ARRAY_SIZE(fds), timeout) >= 0);
        n_rounds++;
        if (fds[0].revents != 0 && !signals_serve(terminal, signal_fd))
            return;
        terminal_relay(terminal);
        if (fds[1].revents != 0 && !control_serve(terminal, control))
            return;
    }
}

static void user_prepare(int user, const struct script *script) {
    struct termios mode;

    CHECK(tcgetattr(user, &mode) == 0);
    mode.c_lflag &= ~script->local_off;
    CHECK(tcsetattr(user, TCSANOW, &mode) == 0);
}

static _Noreturn void play(const struct script *script, int user, int control) {
    struct terminal terminal;
    sigset_t all;

    stage_stderr = fcntl(2, F_DUPFD_CLOEXEC, 100);
    (void)sigfillset(&all);
    CHECK(sigprocmask(SIG_BLOCK, &all, NULL) == 0);
    CHECK(setpgid(0, 0) == 0 && tcsetpgrp(user, getpgrp()) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(dup2(user, i) == i);
    user_prepare(user, script);
    CHECK(terminal_open(&terminal) == 0 && terminal.fd >= 0);
    command_pid = command_start(&terminal, script);
    if (script->is_late)
        CHECK(waitpid(command_pid, NULL, 0) == command_pid);
    else
        relay_until_end(&terminal, control);
    terminal_drain(&terminal);
    terminal_close(&terminal);
    _exit(0);
}

/* The session's leader, which must outlive the player. */
static _Noreturn void shell_run(const struct script *script, int user, int control) {
    int status = 1;
    pid_t player;

    CHECK(setsid() > 0 && ioctl(user, TIOCSCTTY, 0) == 0);
    CHECK(signal(SIGHUP, SIG_IGN) != SIG_ERR);
    player = fork();
    if (player == 0)
        play(script, user, control);
    close(control);
    close(stage_report);
    CHECK(waitpid(player, &status, 0) == player);
    _exit(status == 0 ? 0 : 1);
}

/*
 * The test.
 */

void stage_open(struct stage *stage, const struct script *script) {
    const struct timeval limit = {.tv_sec = 10};
    int control[2], report[2], user;

    memset(stage, 0, sizeof(*stage));
    assert_int_equal(openpty(&stage->keyboard, &user, NULL, NULL, NULL), 0);
    assert_int_equal(tcgetattr(user, &stage->before), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, report), 0);
    assert_int_equal(setsockopt(control[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(setsockopt(report[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    stage->control = control[0];
    stage->report = report[0];
    stage->shell = fork();
    assert_true(stage->shell >= 0);
    if (stage->shell == 0) {
        close(stage->keyboard);
        close(control[0]);
        close(report[0]);
        stage_report = report[1];
        shell_run(script, user, control[1]);
    }
    close(user);
    close(control[1]);
    close(report[1]);
}

/* The player ends when the control is closed, or when the command has ended. */
void stage_close(struct stage *stage) {
    int status;

    close(stage->control);
    assert_int_equal(waitpid(stage->shell, &status, 0), stage->shell);
    assert_int_equal(status, 0);
    close(stage->report);
    if (stage->keyboard >= 0)
        close(stage->keyboard);
}

int ask(const struct stage *stage, enum order order) {
    char byte = (char)order;
    int answer;

    assert_int_equal(send(stage->control, &byte, 1, MSG_NOSIGNAL), 1);
    assert_int_equal(recv(stage->control, &answer, sizeof(answer), 0), sizeof(answer));
    return answer;
}

void type(const struct stage *stage, const char *keys) {
    assert_int_equal(write(stage->keyboard, keys, strlen(keys)), strlen(keys));
}

void await_report(const struct stage *stage, const char *expected) {
    char text[64] = "";

    test_assert_in_range(strlen(expected), 1, sizeof(text) - 1);
    assert_int_equal(recv(stage->report, text, strlen(expected), MSG_WAITALL), strlen(expected));
    assert_string_equal(text, expected);
}

/* Reads up to @size bytes of the screen; 0 if nothing comes in @wait_ms. */
size_t screen_read(const struct stage *stage, char *bytes, size_t size, int wait_ms) {
    struct pollfd ready = {.fd = stage->keyboard, .events = POLLIN};
    ssize_t n = poll(&ready, 1, wait_ms) == 1 ? read(stage->keyboard, bytes, size) : 0;

    return n > 0 ? (size_t)n : 0;
}

void await_screen(const struct stage *stage, const char *expected) {
    char text[256] = "";
    size_t n = 0;

    while (n < strlen(expected)) {
        size_t more = screen_read(stage, text + n, strlen(expected) - n, 5000);

        if (more == 0)
            fail_msg("expected '%s', the screen has '%s'", expected, text);
        n += more;
    }
    assert_string_equal(text, expected);
}

struct termios user_mode(const struct stage *stage) {
    struct termios mode;

    memset(&mode, 0, sizeof(mode));
    assert_int_equal(tcgetattr(stage->keyboard, &mode), 0);
    return mode;
}

void assert_mode(const struct stage *stage, const struct termios *expected) {
    const struct termios mode = user_mode(stage);

    assert_memory_equal(&mode, expected, sizeof(mode));
}

/* Sets flags of the user's terminal, as its shell or another program does. */
struct termios user_set(const struct stage *stage, tcflag_t off, tcflag_t on) {
    struct termios mode = user_mode(stage);

    mode.c_lflag = (mode.c_lflag & ~off) | on;
    assert_int_equal(tcsetattr(stage->keyboard, TCSANOW, &mode), 0);
    return user_mode(stage);
}

struct termios raw_of(struct termios mode) {
    tcflag_t line = mode.c_cflag;

    cfmakeraw(&mode);
    mode.c_cflag = line;
    return mode;
}

void await_mode(const struct stage *stage, const struct termios *expected) {
    for (int i = 0; i < 200; i++) {
        const struct termios mode = user_mode(stage);

        if (memcmp(&mode, expected, sizeof(mode)) == 0)
            return;
        usleep(10000);
    }
    fail_msg("the terminal did not get the mode");
}

/* Nothing is to be done: then nothing is done, for a while. A poll in the background is allowed. */
void assert_no_spin(const struct stage *stage) {
    int before = ask(stage, ROUNDS);

    usleep(350000);
    test_assert_in_range(ask(stage, ROUNDS) - before, 0, 8);
}

/*
 * For commands.
 */

void say(const char *text) {
    CHECK(write(stage_report, text, strlen(text)) == (ssize_t)strlen(text));
}

/* A byte that was typed; at the end of the test the terminal is hung up, and the command ends. */
char hear(void) {
    char byte;

    if (read(1, &byte, 1) != 1)
        _exit(0);
    return byte;
}

void tty_set(tcflag_t local_off) {
    struct termios mode;

    CHECK(tcgetattr(1, &mode) == 0);
    mode.c_lflag &= ~local_off;
    CHECK(tcsetattr(1, TCSANOW, &mode) == 0);
}

/* Each byte as it is; but Ctrl-S stops. */
void tty_set_raw_with_stop(void) {
    struct termios mode;

    CHECK(tcgetattr(1, &mode) == 0);
    cfmakeraw(&mode);
    mode.c_iflag |= IXON;
    CHECK(tcsetattr(1, TCSANOW, &mode) == 0);
}

void tty_set_raw(void) {
    struct termios mode;

    CHECK(tcgetattr(1, &mode) == 0);
    cfmakeraw(&mode);
    CHECK(tcsetattr(1, TCSANOW, &mode) == 0);
}

_Noreturn void command_idle(void) {
    say("ready");
    for (;;)
        (void)pause();
}

_Noreturn void command_idle_raw(void) {
    tty_set_raw();
    command_idle();
}

/* Says what it reads. */
void command_report_input(void) {
    char bytes[512];
    ssize_t n;

    tty_set_raw();
    say("ready");
    while ((n = read(1, bytes, sizeof(bytes))) > 0)
        CHECK(write(stage_report, bytes, (size_t)n) == n);
}
