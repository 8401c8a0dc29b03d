/* The monitor of a command with a terminal. The test plays utsrun, and a child of it the gate. */

#include "broker/session/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/test.h"
#include "utsbroker/channel.h"
#include "utsbroker/monitor.h"

enum { COMMAND_FAILED = 50, GATE_FAILED, WAIT_MS = 10000 };

struct scene {
    pid_t monitor;
    int master, channel;
};

/* In the gate: what it has, and the command's exit status. */
struct script {
    void (*prepare)(void);
    int (*command)(void);
    bool is_in_background; /* utsrun is */
};

static _Noreturn void gate_run(const struct script *script, int slave, int channel) {
    if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0 || dup2(slave, 0) < 0 || dup2(slave, 1) < 0)
        _exit(GATE_FAILED);
    if (script->prepare != NULL)
        script->prepare();
    if (monitor_start(slave, channel) < 0)
        _exit(GATE_FAILED);
    _exit(script->command());
}

static void scene_open(struct scene *scene, const struct script *script) {
    const struct monitor_message front = {.word = MONITOR_FRONT,
                                          .value = script->is_in_background ? 0 : 1};
    int ends[2], slave;

    assert_int_equal(openpty(&scene->master, &slave, NULL, NULL, NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    scene->channel = ends[0];
    assert_int_equal(channel_send(scene->channel, &front, sizeof(front), NULL, 0), 0);
    scene->monitor = fork();
    assert_true(scene->monitor >= 0);
    if (scene->monitor == 0) {
        (void)close(scene->master);
        (void)close(scene->channel);
        gate_run(script, slave, ends[1]);
    }
    close(slave);
    close(ends[1]);
}

/* Waits for the monitor's next word, and returns its value. */
static int32_t await_word(const struct scene *scene, enum monitor_word word) {
    struct pollfd ready = {.fd = scene->channel, .events = POLLIN};
    struct monitor_message message;
    struct channel_fds fds;
    size_t size;

    assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
    assert_int_equal(channel_receive(scene->channel, &message, sizeof(message), &size, &fds), 0);
    assert_int_equal(size, sizeof(message));
    assert_int_equal(fds.n_fds, word == MONITOR_RUNS ? 1 : 0);
    channel_fds_deinit(&fds);
    assert_int_equal(message.word, word);
    return message.value;
}

/* Waits until the monitor ends, which says no more, and closes all. */
static int scene_close(struct scene *scene) {
    struct pollfd ended = {.fd = scene->channel, .events = POLLIN};
    char byte;
    int status;

    if (poll(&ended, 1, WAIT_MS) != 1 || recv(scene->channel, &byte, 1, 0) > 0) {
        (void)kill(scene->monitor, SIGKILL);
        fail_msg("the monitor does not end");
    }
    assert_int_equal(waitpid(scene->monitor, &status, 0), scene->monitor);
    close(scene->channel);
    close(scene->master);
    return status;
}

static int command_end_by_7(void) {
    return 7;
}

/* The caller's limit, with each number below it taken. */
static void numbers_take_all(void) {
    const struct rlimit limit = {16, 16};

    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        _exit(GATE_FAILED);
    while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
        ;
    if (errno != EMFILE)
        _exit(GATE_FAILED);
}

static void it_ends_as_the_command_also_with_no_number_left(void **state) {
    static const struct script scripts[] = {{NULL, command_end_by_7, false},
                                            {numbers_take_all, command_end_by_7, false}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(scripts); i++) {
        struct scene scene;
        int status;

        scene_open(&scene, &scripts[i]);
        (void)await_word(&scene, MONITOR_RUNS);
        status = scene_close(&scene);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 7);
    }
}

/* Gives the foreground to another process group, and reads all the same. */
static int command_read_in_the_background(void) {
    pid_t other = fork();
    char line[16];
    ssize_t n;

    if (other == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        (void)pause();
        _exit(0);
    }
    if (other < 0 || setpgid(other, other) < 0 || tcsetpgrp(0, other) < 0)
        return COMMAND_FAILED;
    n = read(0, line, sizeof(line));
    (void)kill(other, SIGKILL);
    return n == 5 && memcmp(line, "line\n", 5) == 0 ? 7 : COMMAND_FAILED;
}

static void a_command_that_waits_for_the_foreground_gets_it(void **state) {
    static const struct script script = {NULL, command_read_in_the_background, false};
    const struct monitor_message go_on = {.word = MONITOR_CONTINUE, .value = 1};
    struct scene scene;
    int status;

    (void)state;
    scene_open(&scene, &script);
    (void)await_word(&scene, MONITOR_RUNS);
    assert_int_equal(await_word(&scene, MONITOR_STOPPED), SIGTTIN);
    assert_int_equal(channel_send(scene.channel, &go_on, sizeof(go_on), NULL, 0), 0);
    assert_int_equal(write(scene.master, "line\n", 5), 5);
    status = scene_close(&scene);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

/* Says that it runs, and ends by itself after a time, if it is not killed before. */
static int command_last(void) {
    if (write(1, "x", 1) != 1)
        return COMMAND_FAILED;
    (void)usleep(500000);
    return 7;
}

/*
 * The user's terminal is gone, or utsrun: its master is closed first or last. A command in the
 * background survives the first, as it would on that terminal.
 */
static void a_hangup_is_for_the_foreground_and_the_end_of_utsrun_for_all(void **state) {
    static const struct {
        const char *what;
        bool is_in_background, utsrun_ends, master_is_last;
        int status; /* wait(2)'s */
    } cases[] = {
        {"the terminal, in front", false, false, false, SIGHUP},
        {"the terminal, in the background", true, false, false, 7 << 8},
        {"utsrun, in front", false, true, false, SIGHUP},
        {"utsrun, in the background", true, true, false, SIGHUP},
        {"utsrun in the background, its master last", true, true, true, SIGHUP},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct script script = {NULL, command_last, cases[i].is_in_background};
        struct scene scene;
        char byte;
        int status;

        scene_open(&scene, &script);
        (void)await_word(&scene, MONITOR_RUNS);
        assert_int_equal(read(scene.master, &byte, 1), 1);
        if (cases[i].utsrun_ends && cases[i].master_is_last)
            close(scene.channel);
        close(scene.master);
        if (cases[i].utsrun_ends && !cases[i].master_is_last)
            close(scene.channel);
        assert_int_equal(waitpid(scene.monitor, &status, 0), scene.monitor);
        if (status != cases[i].status)
            fail_msg("%s: wait status 0x%x", cases[i].what, (unsigned)status);
        if (!cases[i].utsrun_ends)
            close(scene.channel);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(it_ends_as_the_command_also_with_no_number_left),
    cmocka_unit_test(a_command_that_waits_for_the_foreground_gets_it),
    cmocka_unit_test(a_hangup_is_for_the_foreground_and_the_end_of_utsrun_for_all),
};

TEST_MAIN(tests)
