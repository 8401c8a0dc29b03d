#include "launcher/supervisor.h"

#include <sys/wait.h>

#include "tests/test.h"

static void a_signal_is_passed_on_unless_the_command_has_it_already(void **state) {
    enum { SELF = 10, CHILD = 20, OTHER = 30 };
    static const struct {
        const char *what;
        int number, code;
        pid_t sender;
        bool is_session_leader, is_forwarded, is_forwarded_if_left;
    } cases[] = {
        {"kill -TERM", SIGTERM, SI_USER, OTHER, false, true, true},
        {"kill -INT", SIGINT, SI_USER, OTHER, false, true, true},
        {"kill -HUP", SIGHUP, SI_USER, OTHER, false, true, true},
        {"kill -QUIT", SIGQUIT, SI_USER, OTHER, false, true, true},
        {"kill -USR1", SIGUSR1, SI_USER, OTHER, false, true, true},
        {"kill -USR2", SIGUSR2, SI_USER, OTHER, false, true, true},
        {"kill -CONT", SIGCONT, SI_USER, OTHER, false, true, true},
        {"kill -WINCH", SIGWINCH, SI_USER, OTHER, false, true, true},
        {"kill -TSTP", SIGTSTP, SI_USER, OTHER, false, true, true},
        {"kill -ABRT", SIGABRT, SI_USER, OTHER, false, true, true},
        {"sigqueue", 40, SI_QUEUE, OTHER, false, true, true},
        {"tgkill", SIGTERM, SI_TKILL, OTHER, false, true, true},
        {"Ctrl-C", SIGINT, SI_KERNEL, 0, false, false, true},
        {"Ctrl-C, and utsrun leads the session", SIGINT, SI_KERNEL, 0, true, false, true},
        {"Ctrl-\\", SIGQUIT, SI_KERNEL, 0, false, false, true},
        {"Ctrl-Z", SIGTSTP, SI_KERNEL, 0, false, false, true},
        {"the window's size", SIGWINCH, SI_KERNEL, 0, false, false, true},
        {"a hangup, told to the group", SIGHUP, SI_KERNEL, 0, false, false, true},
        {"a hangup, told to the leader alone", SIGHUP, SI_KERNEL, 0, true, true, true},
        {"the caller's alarm", SIGALRM, SI_KERNEL, 0, false, true, true},
        {"a child's change", SIGCHLD, CLD_EXITED, CHILD, false, false, false},
        {"kill 0 by the command", SIGTERM, SI_USER, CHILD, false, false, false},
        {"our own", SIGPIPE, SI_USER, SELF, false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct signalfd_siginfo info = {.ssi_signo = (uint32_t)cases[i].number,
                                        .ssi_code = cases[i].code,
                                        .ssi_pid = (uint32_t)cases[i].sender};

        struct signal_parties parties = {
            .self = SELF, .child = CHILD, .is_session_leader = cases[i].is_session_leader};

        if (supervisor_is_for_child(&info, &parties) != cases[i].is_forwarded)
            fail_msg("%s", cases[i].what);
        parties.has_child_left_group = true;
        if (supervisor_is_for_child(&info, &parties) != cases[i].is_forwarded_if_left)
            fail_msg("%s", cases[i].what);
    }
}

/* Every wait status that a child can have, made by hand (wait(2)'s macros read it so). */
static void it_ends_as_the_command_ended(void **state) {
    static const int signals[] = {SIGTERM, SIGKILL, SIGINT, SIGHUP,
                                  SIGSEGV, SIGABRT, SIGSYS, SIGUSR1};

    (void)state;
    for (int code = 0; code < 256; code++) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
            supervisor_end_self(code << 8);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), code);
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(signals); i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
            supervisor_end_self(signals[i] | 0x80); /* with a core, which is the child's */
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i]);
        assert_false(WCOREDUMP(status));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_signal_is_passed_on_unless_the_command_has_it_already),
    cmocka_unit_test(it_ends_as_the_command_ended),
};

TEST_MAIN(tests)
