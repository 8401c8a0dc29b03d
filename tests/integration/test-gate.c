/* The gate of a session that was taken over: which verdicts it obeys, and what it always does. */

#include "broker/session/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "launcher/options.h"
#include "launcher/request.h"
#include "tests/integration/harness.h"

enum { REPORTED = 50, NOT_RELEASED = 40 };

/*
 * Opens a gate as a session does, and sends it @verdict. Then releases it and waits for it, or ends
 * a moment later. Runs in a child.
 */
static _Noreturn void be_session(const struct gate_verdict *verdict, bool may_setuid, bool releases,
                                 int launch_fd) {
    const struct gate_setup setup = {.may_setuid = may_setuid, .session_fds = {-1, -1}};
    const struct channel_fds fds = {.n_fds = 1, .fds = {launch_fd}};
    struct gate gate = GATE_NULL;
    struct gate_report report = {.status = 0};

    if (gate_open(&gate, &setup) < 0)
        _exit(1);
    if (gate_prepare(&gate, verdict, &fds) < 0)
        _exit(2);
    if (!releases) {
        usleep(300000);
        _exit(NOT_RELEASED);
    }
    if (gate_release(&gate) < 0)
        _exit(3);
    _exit(gate_wait(&gate, &report) == 0 ? 0 : REPORTED + report.status);
}

/* Runs a command through a gate. @text is what it writes. Returns the code of be_session(). */
static int run_through_gate(const struct gate_verdict *verdict, bool may_setuid, bool releases,
                            char *text, size_t size) {
    char *command[] = {"sh", "-c",
                       "{ uname -n; grep -E 'NoNewPrivs|CapPrm' /proc/self/status; } > "
                       "/tmp/test-gate.report",
                       NULL};
    char *environment[] = {"PATH=/usr/bin:/bin", NULL};
    const struct options options = {.hostname = "x", .command = command};
    int launch_fd = -1, status, code = -1, fd;
    pid_t session, pid;

    (void)unlink("/tmp/test-gate.report");
    assert_int_equal(
        request_write_launch(&launch_fd, &options, environment, &(struct request_place){0}), 0);
    session = fork();
    if (session == 0)
        be_session(verdict, may_setuid, releases, launch_fd);
    close(launch_fd);
    /* The session and, by CLONE_PARENT, the gate are both children of this process. */
    while ((pid = waitpid(-1, &status, 0)) > 0)
        if (pid == session)
            code = WIFEXITED(status) ? WEXITSTATUS(status) : -2;
    memset(text, 0, size);
    fd = open("/tmp/test-gate.report", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!read(fd, text, size - 1);
        close(fd);
    }
    (void)unlink("/tmp/test-gate.report");
    return code;
}

static struct gate_verdict verdict_for(const char *hostname) {
    struct gate_verdict verdict = {.names = PROTOCOL_HOSTNAME};

    memcpy(verdict.hostname, hostname, strlen(hostname));
    return verdict;
}

static void no_new_privs_is_left_out_only_if_a_rule_says_setuid(void **state) {
    static const struct {
        bool is_setuid, may_setuid;
        const char *line;
    } cases[] = {{false, false, "NoNewPrivs:\t1"},
                 {false, true, "NoNewPrivs:\t1"},
                 {true, false, "NoNewPrivs:\t1"}, /* what a taken-over session would ask for */
                 {true, true, "NoNewPrivs:\t0"}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct gate_verdict verdict = verdict_for("forged");
        char text[512];

        verdict.is_setuid = cases[i].is_setuid;
        assert_int_equal(run_through_gate(&verdict, cases[i].may_setuid, true, text, sizeof(text)),
                         0);
        assert_memory_equal(text, "forged\n", 7);
        if (strstr(text, cases[i].line) == NULL)
            fail_msg("case %zu: %s", i, text);
    }
}

static void an_invalid_verdict_ends_the_gate(void **state) {
    struct gate_verdict cases[7];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        cases[i] = verdict_for("forged");
    memset(cases[0].hostname, 'a', sizeof(cases[0].hostname)); /* no NUL */
    cases[1].hostname[60] = 'x';                               /* a byte after the NUL */
    cases[2].names = 0;                                        /* a name without its flag */
    cases[3].names |= PROTOCOL_DOMAINNAME;                     /* a flag without its name */
    cases[4].domainname[0] = 'x';
    cases[5].flags = PROTOCOL_TO_SERVICE; /* in direct mode, without a working directory */
    cases[6].flags = PROTOCOL_HAS_TERMINAL;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char text[512];

        assert_int_equal(run_through_gate(&cases[i], false, true, text, sizeof(text)),
                         REPORTED + PROTOCOL_KERNEL_REFUSED);
        assert_string_equal(text, "");
    }
}

/* The grant is not in the log yet, or is refused. */
static void a_gate_that_is_not_released_runs_nothing(void **state) {
    struct gate_verdict verdict = verdict_for("forged");
    char text[512];

    (void)state;
    assert_int_equal(run_through_gate(&verdict, false, false, text, sizeof(text)), NOT_RELEASED);
    assert_string_equal(text, "");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_gate_that_is_not_released_runs_nothing),
    cmocka_unit_test(no_new_privs_is_left_out_only_if_a_rule_says_setuid),
    cmocka_unit_test(an_invalid_verdict_ends_the_gate),
};

HARNESS_MAIN(tests)
