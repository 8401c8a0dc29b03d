/* What a command learns of the end of utsrsh, from the kernel. */

#include "launcher/hang-up.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"

/* Starts a process group of two, which do nothing; returns its number. */
static pid_t group_start(pid_t *memberp) {
    pid_t pids[2];

    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            for (;;)
                pause();
        assert_int_equal(setpgid(pids[i], pids[0]), 0);
    }
    *memberp = pids[1];
    return pids[0];
}

static void group_end(pid_t group, pid_t member, int signal_number) {
    int status;

    if (signal_number == SIGKILL)
        assert_int_equal(kill(-group, SIGKILL), 0);
    assert_int_equal(waitpid(group, &status, 0), group);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signal_number);
    assert_int_equal(waitpid(member, &status, 0), member);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signal_number);
}

/* The process that is to hang up: @cancels before it ends. */
static void launcher_run(pid_t group, bool cancels, int end_signal) {
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct hang_up hang_up;

        hang_up_begin(&hang_up, group);
        if (hang_up.ends[0] <= 2 || hang_up.ends[1] <= 2)
            _exit(1);
        if (cancels)
            hang_up_cancel(&hang_up);
        if (end_signal != 0)
            (void)kill(getpid(), end_signal);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : 0, end_signal);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : 0, 0);
}

static void the_whole_group_hears_of_the_end(void **state) {
    static const int ends[] = {0, SIGTERM, SIGKILL};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(ends); i++) {
        pid_t member, group = group_start(&member);

        launcher_run(group, false, ends[i]);
        group_end(group, member, SIGHUP);
    }
}

static void nobody_hears_of_it_after_a_cancel(void **state) {
    static const int ends[] = {0, SIGKILL};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(ends); i++) {
        pid_t member, group = group_start(&member);

        launcher_run(group, true, ends[i]);
        usleep(50000);
        assert_int_equal(waitpid(-group, NULL, WNOHANG), 0);
        group_end(group, member, SIGKILL);
    }
}

static void low_numbers_stay_free(void **state) {
    int status;
    pid_t member, group = group_start(&member), pid = fork();

    (void)state;
    if (pid == 0) {
        struct hang_up hang_up;

        for (int fd = 0; fd < 3; fd++)
            (void)close(fd);
        hang_up_begin(&hang_up, group);
        _exit(hang_up.ends[0] > 2 && hang_up.ends[1] > 2 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    group_end(group, member, SIGHUP);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_group_hears_of_the_end),
        cmocka_unit_test(nobody_hears_of_it_after_a_cancel),
        cmocka_unit_test(low_numbers_stay_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
