/* What becomes of the terminals when processes are left behind that have the command's pty open. */

#include "launcher/terminal/leave.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/test.h"

enum { SPINS = 42, WAIT_MS = 10000, MANY = 1000 };

int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);

/* A relay with little to do calls poll(2) a few times only. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout) {
    static unsigned calls;

    if (++calls > MANY)
        _exit(SPINS);
    return __real_poll(fds, n, timeout);
}

struct scene {
    int keyboard, terminal; /* the user's */
    int left;               /* the pty, as a process that was left behind has it */
};

/* utsrun ends, and leaves the relay to this process. */
static void scene_open(struct scene *scene) {
    static struct terminal terminal = TERMINAL_NULL;
    pid_t utsrun;
    int status;

    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    assert_int_equal(openpty(&scene->keyboard, &scene->terminal, NULL, NULL, NULL), 0);
    assert_int_equal(openpty(&terminal.master, &scene->left, NULL, NULL, NULL), 0);
    terminal.fd = fcntl(scene->terminal, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(fcntl(terminal.master, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(terminal.fd, F_SETFL, O_NONBLOCK), 0);
    utsrun = fork();
    assert_true(utsrun >= 0);
    if (utsrun == 0) {
        terminal_leave(&terminal);
        _exit(0);
    }
    assert_int_equal(waitpid(utsrun, &status, 0), utsrun);
    assert_int_equal(status, 0);
    close(terminal.master);
    close(terminal.fd);
}

static void await_screen(const struct scene *scene, const char *expected) {
    struct pollfd ready = {.fd = scene->keyboard, .events = POLLIN};
    char bytes[64];

    assert_int_equal(__real_poll(&ready, 1, WAIT_MS), 1);
    assert_int_equal(read(scene->keyboard, bytes, sizeof(bytes)), strlen(expected));
    assert_memory_equal(bytes, expected, strlen(expected));
}

/* The relay ends by itself. */
static void scene_close(struct scene *scene) {
    int status;

    assert_true(wait(&status) > 0);
    assert_int_equal(status, 0);
    close(scene->keyboard);
    close(scene->terminal);
}

static void late_output_is_shown_until_the_pty_is_closed(void **state) {
    struct scene scene;

    (void)state;
    scene_open(&scene);
    assert_int_equal(write(scene.left, "late", 4), 4);
    await_screen(&scene, "late");
    close(scene.left);
    scene_close(&scene);
}

static void a_stopped_terminal_keeps_nobody_busy(void **state) {
    struct scene scene;

    (void)state;
    scene_open(&scene);
    assert_int_equal(tcflow(scene.terminal, TCOOFF), 0);
    assert_int_equal(write(scene.left, "late", 4), 4);
    close(scene.left);
    usleep(300000); /* enough to spin a thousand times */
    assert_int_equal(tcflow(scene.terminal, TCOON), 0);
    await_screen(&scene, "late");
    scene_close(&scene);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(late_output_is_shown_until_the_pty_is_closed),
    cmocka_unit_test(a_stopped_terminal_keeps_nobody_busy),
};

TEST_MAIN(tests)
