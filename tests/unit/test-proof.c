/* The launcher's proof (PROTOCOL_PROVE): what it does to the witness, and to nobody else. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/proof.h"
#include "tests/test.h"
#include "utsbroker/base.h"

/* A child of a child, as the witness is none of utsrun's. It ends with this process. */
static pid_t stranger_start(void) {
    int ends[2];
    pid_t pid, middle;

    assert_int_equal(pipe(ends), 0);
    middle = fork();
    if (middle == 0) {
        pid = fork();
        if (pid == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            for (;;)
                (void)pause();
        }
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (write(ends[1], &pid, sizeof(pid)) != sizeof(pid))
            _exit(1);
        for (;;)
            (void)waitpid(-1, NULL, 0);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &pid, sizeof(pid)), sizeof(pid));
    close(ends[0]);
    return pid;
}

static int pidfd_of(pid_t pid) {
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    assert_true(pidfd >= 0);
    return pidfd;
}

static bool has_ended(int pidfd, int timeout_ms) {
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};

    return poll(&ended, 1, timeout_ms) == 1;
}

static bool has_tracer(pid_t pid) {
    char path[64], line[128];
    bool is_found = false;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        is_found |= strncmp(line, "TracerPid:", 10) == 0 && strcmp(line, "TracerPid:\t0\n") != 0;
    (void)fclose(file);
    return is_found;
}

/* SIGCHLD is ignored again afterwards: the command inherits that if another request follows. */
static void it_attaches_kills_and_leaves_nothing(void **state) {
    pid_t witness = stranger_start();
    CLEANUP_FD int pidfd = pidfd_of(witness);
    struct sigaction action;

    (void)state;
    assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    proof_give(witness, pidfd);
    assert_true(has_ended(pidfd, 5000));
    assert_true(has_tracer(witness)); /* at which the service looks */
    proof_end(witness);
    assert_int_equal(sigaction(SIGCHLD, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_IGN);
    assert_true(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
    assert_true(waitpid(witness, NULL, WNOHANG) < 0 && errno == ECHILD);
}

/* utsrun was stopped for a while, and the number of the witness is another process's by now. */
static void another_process_with_its_number_is_left_alone(void **state) {
    pid_t witness = stranger_start(), other = stranger_start();
    CLEANUP_FD int pidfd = pidfd_of(witness);
    CLEANUP_FD int others_pidfd = pidfd_of(other);

    (void)state;
    assert_int_equal(kill(witness, SIGKILL), 0);
    assert_true(has_ended(pidfd, 5000));
    proof_give(other, pidfd);
    proof_end(other);
    assert_false(has_ended(others_pidfd, 300));
    assert_false(has_tracer(other));
    assert_int_equal(kill(other, SIGTERM), 0); /* it can still be ended by a signal */
    assert_true(has_ended(others_pidfd, 5000));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(it_attaches_kills_and_leaves_nothing),
    cmocka_unit_test(another_process_with_its_number_is_left_alone),
};

int main(void) {
    return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
