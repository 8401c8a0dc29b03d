/* The ledger: log, limits and what lives, in both modes. */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/integration/ledger.h"
#include "utsbroker/channel.h"

static struct test_ledger ledger;

static int set_up(void **state) {
    return ledger_begin(&ledger, state);
}

static int tear_down(void **state) {
    return ledger_end(&ledger, state);
}

static const struct result *run_as(const struct user *user, char *name, char *script) {
    static struct result result;
    const struct run run = {.user = user, .argv = {UTSRUN_PATH, "-n", name, "sh", "-c", script}};

    harness_run(&run, &result);
    return &result;
}

static const struct result *run_named(char *name, char *script) {
    return run_as(USER_WITHOUT_NAME, name, script);
}

static pid_t start_named(char *name, int *outputp) {
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "-n", name, "sh", "-c", "echo $$; exec sleep 60"}};
    int errors;
    pid_t pid = harness_start(&run, outputp, &errors);

    close(errors);
    return pid;
}

/* Starts a command that lives, and returns its launcher. *@commandp: the command's own pid. */
static pid_t start_ready(char *name, int *outputp, pid_t *commandp) {
    pid_t pid = start_named(name, outputp);

    *commandp = atoi(harness_read_line(*outputp));
    assert_true(*commandp > 0);
    return pid;
}

static void end_started(pid_t pid, int output) {
    int status;

    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(output);
}

/* Policy files that have just changed are read with each request (policy/fingerprint.h), and then
 * no session that was made ahead is used. */
static void let_policy_settle(void) {
    sleep(3);
}

static void assert_refused(const struct result *result, const char *why) {
    harness_assert_exit(result, 125);
    if (strstr(result->errors, why) == NULL)
        fail_msg("expected '%s', got: %s", why, result->errors);
}

static int begin(void **state) {
    (void)state;
    if (ledger.pid == 0)
        ledger_start(&ledger);
    policy_clear();
    policy_write("10-test.conf", "permit any hostname lab* limit 2\npermit any hostname *");
    harness_assert_exit(run_named("calm", "true"), 0);
    assert_true(ledger_wait_for_line(" end ", "\"calm\""));
    ledger_clear_log();
    return 0;
}

/* What the log says when utsrun has ended needs no waiting, except for ends. */
static void each_decision_is_a_line_before_its_reply(void **state) {
    static const struct {
        char *name, *script;
        const char *kind, *values;
    } cases[] = {
        {"lab1", "exit 7", " grant ", "hostname=\"lab1\" domainname=- rule=\""},
        {"lab1", "exit 7", " end ", "command=\"sh\" exit=7 signal=-"},
        {"lab2", "kill -9 $$", " end ", "hostname=\"lab2\" domainname=- rule=\""},
        {"lab2", "kill -9 $$", " end ", "command=\"sh\" exit=- signal=9"},
        {"no_name", "true", " refusal ",
         "hostname=\"no_name\" domainname=- rule=- pid=- mode=direct command=\"sh\" "
         "reason=\"not a valid host name (RFC 1123)\""},
    };
    char values[256];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const char *mode = strstr(cases[i].values, "mode=direct");

        snprintf(values, sizeof(values), "%s", cases[i].values);
        if (mode != NULL && harness_is_service())
            snprintf(values, sizeof(values), "%.*smode=service%s", (int)(mode - cases[i].values),
                     cases[i].values, mode + strlen("mode=direct"));
        ledger_clear_log();
        (void)run_named(cases[i].name, cases[i].script);
        if (strcmp(cases[i].kind, " end ") != 0 &&
            (strstr(ledger_read_log(), cases[i].kind) == NULL ||
             strstr(ledger_read_log(), values) == NULL))
            fail_msg("no%swith '%s' in: %s", cases[i].kind, values, ledger_read_log());
        if (!ledger_wait_for_line(cases[i].kind, values))
            fail_msg("no%swith '%s' in: %s", cases[i].kind, values, ledger_read_log());
    }
}

static void a_command_that_cannot_be_executed_is_a_failure_without_end(void **state) {
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "lab1", "/no/such \"file"}};
    static struct result result;

    (void)state;
    for (int i = 0; i < 5; i++) {
        harness_run(&run, &result);
        harness_assert_exit(&result, 127);
        assert_int_equal(ledger_count_lines(" failure "), i + 1);
    }
    assert_non_null(strstr(ledger_read_log(),
                           "command=\"/no/such \\x22file\" reason=\"cannot execute the command: No "
                           "such file or directory\""));
    /* They count no more, and no end comes. */
    harness_assert_exit(run_named("lab2", "true"), 0);
    assert_true(ledger_wait_for_line(" end ", "\"lab2\""));
    assert_int_equal(ledger_count_lines(" end "), 1);
}

static void a_limit_counts_by_the_meaning_of_a_rule(void **state) {
    static const char reached[] = "limit reached: 2 of 2 commands are running under ";
    int outputs[2];
    pid_t pids[2], command;

    (void)state;
    policy_write("10-test.conf",
                 "permit any hostname lab* limit 2\npermit any hostname other limit 1");
    for (size_t i = 0; i < 2; i++)
        pids[i] = start_ready("lab1", &outputs[i], &command);
    assert_refused(run_named("lab2", "true"), reached);
    assert_int_equal(ledger_count_lines("reason=\"limit reached: 2 of 2 commands are running under "
                                        "this rule\""),
                     1);
    harness_assert_exit(run_named("other", "true"), 0);
    /* The same rule in another place, then with another limit, then removed and restored. */
    policy_write("10-test.conf", "deny any hostname licence*\n\npermit any hostname LAB* limit 2");
    assert_refused(run_named("lab2", "true"), reached);
    policy_write("10-test.conf", "permit any hostname lab* limit 3");
    harness_assert_exit(run_named("lab2", "true"), 0);
    policy_write("10-test.conf", "permit any hostname other");
    assert_refused(run_named("lab2", "true"), "denied");
    policy_write("10-test.conf", "permit any hostname lab* limit 1");
    assert_refused(run_named("lab2", "true"), "limit reached: 2 of 1 commands");
    end_started(pids[0], outputs[0]);
    assert_refused(run_named("lab2", "true"), "limit reached: 1 of 1 commands");
    end_started(pids[1], outputs[1]);
    harness_assert_exit(run_named("lab2", "true"), 0);
}

/* In the other mode the same rule counts the same commands; another user has a count of their own.
 */
static void a_limit_counts_both_modes_together_and_users_apart(void **state) {
    char *other = harness_is_service() ? "direct" : "service";
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "--via", other, "-n", "lab3", "true"}};
    static struct result result;
    int outputs[2];
    pid_t pids[2], command;

    (void)state;
    for (size_t i = 0; i < 2; i++)
        pids[i] = start_ready("lab1", &outputs[i], &command);
    if (harness_is_service()) { /* in direct mode there is no service */
        harness_permit_direct();
        harness_run(&run, &result);
        harness_prevent_direct();
        assert_refused(&result, "limit reached: 2 of 2");
    }
    harness_assert_exit(run_as(USER_NOBODY, "lab1", "true"), 0);
    for (size_t i = 0; i < 2; i++)
        end_started(pids[i], outputs[i]);
}

/* Twenty requests at the same time under a limit of two. */
static void simultaneous_requests_cannot_exceed_the_limit(void **state) {
    enum { N = 20, LIMIT = 2 };
    pid_t pids[N];
    int outputs[N], n_refused = 0, n_granted = 0, status;

    (void)state;
    for (int i = 0; i < N; i++)
        pids[i] = start_named("lab1", &outputs[i]);
    for (int i = 0; i < 1000 && n_refused < N - LIMIT; i++) {
        usleep(10000);
        for (int j = 0; j < N; j++)
            if (pids[j] != 0 && waitpid(pids[j], &status, WNOHANG) == pids[j]) {
                assert_int_equal(status, 125 << 8);
                pids[j] = 0;
                n_refused++;
            }
    }
    for (int i = 0; i < N; i++) {
        n_granted += pids[i] != 0;
        if (pids[i] != 0)
            end_started(pids[i], outputs[i]);
        else
            close(outputs[i]);
    }
    assert_int_equal(n_refused, N - LIMIT);
    assert_int_equal(n_granted, LIMIT);
    assert_int_equal(ledger_count_lines(" grant "), LIMIT);
}

/* kill -9, with commands alive: the next ledger goes on with what lives. */
static void limits_survive_the_end_of_the_ledger(void **state) {
    static struct live_command live[8];
    int outputs[2], status;
    pid_t pids[2], commands[2];

    (void)state;
    for (size_t i = 0; i < 2; i++)
        pids[i] = start_ready("lab1", &outputs[i], &commands[i]);
    assert_int_equal(ledger_read_live(live, 8), 2);
    assert_int_equal(live[0].pid, commands[0]);
    assert_int_equal(live[0].is_service, harness_is_service());
    assert_string_equal(live[0].command, "sh");
    for (int i = 0; i < 3; i++) {
        ledger_kill(&ledger, i == 1 ? SIGTERM : SIGKILL);
        ledger_start(&ledger);
        assert_refused(run_named("lab2", "true"), "limit reached: 2 of 2");
    }
    /* One ends while there is no ledger: its end is logged, without a status. */
    ledger_kill(&ledger, SIGKILL);
    assert_int_equal(kill(commands[0], SIGKILL), 0);
    assert_int_equal(waitpid(pids[0], &status, 0), pids[0]);
    ledger_start(&ledger);
    assert_true(ledger_wait_for_line(" end ", "exit=- signal=-"));
    harness_assert_exit(run_named("lab2", "true"), 0);
    /* The other ends later. */
    end_started(pids[1], outputs[1]);
    assert_true(ledger_wait_for_line(" end ", "exit=- signal=15"));
    close(outputs[0]);
}

/* True if the ledger would not be killed by a signal any more, but end. */
static bool ledger_hears_signals(void *context) {
    const char *blocked = harness_status_line(ledger.pid, "SigBlk");

    (void)context;
    return strspn(blocked, "0") < strlen(blocked);
}

/* Restarts the ledger by @signal_number, again and again, until the process @pid ends. */
static void restart_until_end(pid_t pid, int signal_number) {
    unsigned n = 0;
    int status;

    for (; waitpid(pid, &status, WNOHANG) == 0; n++) {
        usleep(20000);
        assert_true(harness_wait_for(ledger_hears_signals, NULL));
        ledger_kill(&ledger, signal_number);
        ledger_start(&ledger);
    }
    assert_int_equal(status, 0);
    print_message("tried: %u restarts of the ledger under load, by signal %d\n", n, signal_number);
}

/* Launches commands while the ledger is restarted. Returns how many were refused. */
static unsigned launch_meanwhile(int signal_number) {
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {"/bin/bash", "-c",
                 "for n in {1..4}; do for i in {1..100}; do \"$0\" -n calm true || echo $?; done & "
                 "done; wait; echo all",
                 UTSRUN_PATH}};
    int output, errors;
    unsigned n = 0;

    restart_until_end(harness_start(&run, &output, &errors), signal_number);
    while (strcmp(harness_read_line(output), "all") != 0)
        n++;
    close(output);
    close(errors);
    return n;
}

/* What the ledger says next on @fd. */
static enum ledger_status receive_status(int fd) {
    struct ledger_reply record, reply = {.status = LEDGER_STATUS_COUNT};
    ssize_t n = recv(fd, &record, sizeof(record), 0);

    assert_true(n == sizeof(record) && ledger_decode_reply(&record, (size_t)n, 0, &reply));
    return (enum ledger_status)reply.status;
}

/* To those that have sent nothing, which can be sessions made ahead; and it still answers them. */
static void a_ledger_that_ends_says_so(void **state) {
    int fd = ledger_enter(USER_WITHOUT_NAME);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(kill(ledger.pid, SIGTERM), 0);
    assert_int_equal(receive_status(fd), LEDGER_ENDS);
    assert_int_equal(send(fd, "", 1, 0), 1);
    assert_int_equal(receive_status(fd), LEDGER_BAD_EVENT);
    close(fd);
    assert_int_equal(waitpid(ledger.pid, NULL, 0), ledger.pid);
    ledger_start(&ledger);
}

/* The list is empty, and the log has an end for each grant; not two, unless a ledger was killed. */
static bool all_have_ended(void *context) {
    const bool *may_be_twice = context;
    static struct live_command live[1];
    static char text[1 << 20];
    size_t n_grants = ledger_count_lines(" grant "), n_ends = ledger_count_lines(" end ");
    char *line = text;
    int pid;

    if (ledger_read_live(live, 1) > 0 || (*may_be_twice ? n_ends < n_grants : n_ends != n_grants))
        return false;
    snprintf(text, sizeof(text), "%s", ledger_read_log());
    for (line = strstr(text, " grant "); line != NULL; line = strstr(line + 1, " grant ")) {
        const char *end = text;
        char word[32];

        assert_int_equal(sscanf(strstr(line, " pid="), " pid=%d ", &pid), 1);
        snprintf(word, sizeof(word), " pid=%d ", pid);
        while ((end = strstr(end + 1, " end ")) != NULL)
            if (strncmp(strstr(end, " pid="), word, strlen(word)) == 0)
                break;
        if (end == NULL)
            return false;
    }
    return true;
}

/* Launches commands while the ledger is restarted by @signal_number. No limit is exceeded
 * afterwards. Returns how many were refused. */
static unsigned restart_under_load(int signal_number, const char *limit) {
    unsigned n = launch_meanwhile(signal_number);

    assert_refused(run_named("lab2", "true"), limit);
    return n;
}

/*
 * Many commands live while the ledger is restarted again and again, and others start and end: each
 * has its end in the log, and the limit counts those that live. A restart refuses nobody; kill -9
 * may refuse those whose request is just being decided.
 */
static void restarts_lose_nothing(void **state) {
    enum { N_LIVE = 50, N_LAUNCHES = 400 };
    static int outputs[N_LIVE];
    static pid_t pids[N_LIVE], commands[N_LIVE];
    bool is_killed = false;
    char limit[48];

    (void)state;
    policy_write("10-test.conf", "permit any hostname lab* limit 50\npermit any hostname *");
    snprintf(limit, sizeof(limit), "limit reached: %d of %d", N_LIVE, N_LIVE);
    let_policy_settle();
    for (size_t i = 0; i < N_LIVE; i++)
        pids[i] = start_ready("lab1", &outputs[i], &commands[i]);
    assert_int_equal(restart_under_load(SIGTERM, limit), 0);
    assert_int_equal(ledger_count_lines(" grant "), N_LIVE + N_LAUNCHES);
    for (size_t i = 0; i < N_LIVE; i++)
        end_started(pids[i], outputs[i]);
    assert_true(harness_wait_for(all_have_ended, &is_killed));
    ledger_clear_log();
    for (size_t i = 0; i < N_LIVE; i++)
        pids[i] = start_ready("lab1", &outputs[i], &commands[i]);
    (void)restart_under_load(SIGKILL, limit);
    for (size_t i = 0; i < N_LIVE; i++)
        end_started(pids[i], outputs[i]);
    is_killed = true;
    assert_true(harness_wait_for(all_have_ended, &is_killed));
}

/* The ledger hears of many ends together; but a limit counts what lives now. */
static void the_next_may_begin_as_soon_as_one_has_ended(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++)
        harness_assert_exit(run_named("lab1", "true"), 0);
}

/* The pid of a command that is gone belongs to another process: nobody counts that one. */
static void a_reused_pid_counts_for_nobody(void **state) {
    static struct live_command live[8];
    char line[512];
    pid_t other;
    FILE *file;
    int status;

    (void)state;
    ledger_kill(&ledger, SIGKILL);
    other = fork();
    if (other == 0) {
        harness_become(USER_WITHOUT_NAME);
        pause();
    }
    file = fopen(LEDGER_LIVE_PATH, "we");
    assert_non_null(file);
    for (int i = 0; i < 3; i++) {
        snprintf(line, sizeof(line),
                 "+ %d %c1 %u d 1700000000 77 1 \"f\" \"lab1\" \"\" \"\" \"sh\"\n", (int)other,
                 i == 0 ? 'i' : 't', (unsigned)USER_WITHOUT_NAME->uid);
        assert_true(fputs(i == 0 ? LIVE_HEADER : "", file) >= 0 && fputs(line, file) >= 0);
    }
    fclose(file);
    ledger_start(&ledger);
    harness_assert_exit(run_named("lab2", "true"), 0);
    assert_true(ledger_wait_for_line(" end ", "\"lab2\""));
    assert_int_equal(ledger_read_live(live, 8), 0);
    assert_int_equal(ledger_count_lines(" end "), 4);
    assert_int_equal(kill(other, SIGKILL), 0);
    assert_int_equal(waitpid(other, &status, 0), other);
}

/* The service is killed, as its user can: its commands live on, and stay counted. */
static void limits_survive_the_end_of_the_service(void **state) {
    struct test_service *service = harness_service_of(USER_WITHOUT_NAME);
    char path[108];
    int outputs[2], status;
    pid_t pids[2], commands[2];

    (void)state;
    snprintf(path, sizeof(path), "%s", service->path);
    for (size_t i = 0; i < 2; i++)
        pids[i] = start_ready("lab1", &outputs[i], &commands[i]);
    assert_int_equal(kill(service->pid, SIGKILL), 0);
    assert_int_equal(waitpid(service->pid, &status, 0), service->pid);
    close(service->listen_fd);
    service_start(service, USER_WITHOUT_NAME, path, NULL);
    assert_refused(run_named("lab2", "true"), "limit reached: 2 of 2");
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(kill(commands[i], SIGKILL), 0);
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        close(outputs[i]);
    }
    harness_assert_exit(run_named("lab2", "true"), 0);
}

/* The launcher is killed; the command ends later. */
static void the_end_of_a_command_without_its_launcher_is_logged(void **state) {
    /* utsrun reports the command when it has the reply. */
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {"/bin/sh", "-c", "exec \"$0\" --status-fd 3 -n calm sleep 0.3 3>&1", UTSRUN_PATH}};
    int output, errors, status, command = 0;
    pid_t pid = harness_start(&run, &output, &errors);
    char text[32];

    (void)state;
    assert_int_equal(
        sscanf(harness_read_line(output), "{\"event\":\"running\",\"pid\":%d", &command), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    snprintf(text, sizeof(text), " pid=%d ", command);
    assert_true(ledger_wait_for_line(text, "exit=0 signal=-"));
    close(output);
    close(errors);
}

static bool is_ready_session_there(void *context) {
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return harness_count_processes(USER_WITHOUT_NAME->uid) == SERVICE_PROCESSES &&
           service_children(harness_service_of(USER_WITHOUT_NAME)->pid, context, 2) == 2;
}

/*
 * Stops the gate of the service's ready session, and returns its pid. Just after a launch there are
 * two others for a moment: the session that served it, and its command.
 */
static pid_t stop_ready_gate(void) {
    pid_t children[2] = {0, 0}, before[2];

    do {
        memcpy(before, children, sizeof(before));
        usleep(300000);
        assert_true(harness_wait_for(is_ready_session_there, children));
    } while (before[0] != children[0] || before[1] != children[1]);
    assert_int_equal(kill(children[1], SIGSTOP), 0);
    return children[1];
}

/* The launcher ends between the grant and the reply. So nothing knows of the command, and the
 * service ends it. */
static void the_end_of_a_command_without_a_reply_is_logged(void **state) {
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "calm", "sleep", "60"}};
    int output, errors;
    pid_t gate, utsrun;
    char text[32];

    (void)state;
    let_policy_settle();
    harness_assert_exit(run_named("calm", "true"), 0);
    gate = stop_ready_gate();
    utsrun = harness_start(&run, &output, &errors);
    snprintf(text, sizeof(text), " pid=%d ", (int)gate);
    assert_true(ledger_wait_for_line(" grant ", text));
    assert_int_equal(kill(utsrun, SIGKILL), 0);
    assert_int_equal(waitpid(utsrun, NULL, 0), utsrun);
    assert_int_equal(kill(gate, SIGCONT), 0);
    assert_true(ledger_wait_for_line(text, "exit=- signal=9"));
    close(output);
    close(errors);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* A gate may take as long as it needs to become the command (a slow file system), longer than a
 * session may take to decide. */
static void a_slow_gate_is_waited_for(void **state) {
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "calm", "sh", "-c", "exit 7"}};
    int output, errors, status = -1;
    pid_t gate, utsrun;

    (void)state;
    let_policy_settle();
    harness_assert_exit(run_named("calm", "true"), 0);
    gate = stop_ready_gate();
    utsrun = harness_start(&run, &output, &errors);
    sleep(17); /* DECIDING_MS of broker/service/client-state.c are 15 s */
    assert_int_equal(kill(gate, SIGCONT), 0);
    /* The launcher hears that its command was stopped, and stops as well. */
    for (int i = 0; i < 100 && waitpid(utsrun, &status, WNOHANG) == 0; i++) {
        usleep(100000);
        (void)kill(utsrun, SIGCONT);
    }
    assert_int_equal(status, 7 << 8);
    close(output);
    close(errors);
}

/* The ready session of a service was made with the ledger before. */
static void the_first_launch_after_a_restart_is_granted(void **state) {
    (void)state;
    let_policy_settle();
    for (int i = 0; i < 6; i++) {
        harness_assert_exit(run_named("calm", "true"), 0);
        usleep(i * 30000);
        ledger_kill(&ledger, SIGKILL);
        ledger_start(&ledger);
        harness_assert_exit(run_named("calm", "true"), 0);
    }
}

static void without_an_answer_nothing_is_granted(void **state) {
    double before;

    (void)state;
    /* It is stopped: everybody waits for five seconds. */
    assert_int_equal(kill(ledger.pid, SIGSTOP), 0);
    assert_true(harness_wait_for_state(ledger.pid, "T"));
    before = harness_now();
    assert_refused(run_named("calm", "true"), "the log does not take the line");
    test_assert_in_range((unsigned long)(harness_now() - before), 4, 12);
    assert_int_equal(kill(ledger.pid, SIGCONT), 0);
    harness_assert_exit(run_named("calm", "true"), 0);
    /* Nobody listens, but there is a ledger on this machine. */
    ledger_kill(&ledger, SIGTERM);
    close(ledger.listen_fd);
    ledger.listen_fd = -1;
    for (int i = 0; i < 3; i++)
        assert_refused(run_named("calm", "true"),
                       "the log does not take the line (Connection refused)");
    ledger_start(&ledger);
    harness_assert_exit(run_named("calm", "true"), 0);
}

/* The namespace is there, but is no namespace: as if somebody had taken the ledger away. */
static void what_is_no_namespace_is_no_ledger_but_an_error(void **state) {
    (void)state;
    assert_int_equal(mount("/dev/null", LEDGER_NAMESPACE_PATH, NULL, MS_BIND, NULL), 0);
    assert_refused(run_named("fresh", "true"), "the log does not take the line");
    /* A session that is made ahead may have it open. */
    assert_int_equal(umount2(LEDGER_NAMESPACE_PATH, MNT_DETACH), 0);
    harness_assert_exit(run_named("fresh", "true"), 0);
}

/* Hides the ledger, but not the user's socket. */
static void hide_ledger(void) {
    const struct test_service *service = harness_service_of(USER_WITHOUT_NAME);
    char hidden[128], command[512];
    int folder = open(RUN_FOLDER, O_PATH | O_DIRECTORY);

    assert_int_equal(mount("tmpfs", RUN_FOLDER, "tmpfs", 0, "mode=0755"), 0);
    if (service != NULL) {
        snprintf(command, sizeof(command), ": > %s", service->path);
        assert_int_equal(system(command), 0);
        snprintf(hidden, sizeof(hidden), "/proc/self/fd/%d/%s", folder,
                 strrchr(service->path, '/') + 1);
        assert_int_equal(mount(hidden, service->path, NULL, MS_BIND, NULL), 0);
    }
    close(folder);
}

/* Only root can make it so: ledger.net is gone. Then syslog has the lines, and nobody counts. */
static void a_machine_without_a_ledger_refuses_limits(void **state) {
    (void)state;
    let_policy_settle();
    hide_ledger();
    harness_assert_exit(run_named("calm", "true"), 0);
    assert_refused(run_named("lab1", "true"),
                   "10-test.conf:1 has a limit, and no ledger counts on this machine");
    harness_assert_exit(run_named("calm", "true"), 0);
    assert_int_equal(umount2(RUN_FOLDER, MNT_DETACH), 0);
    assert_int_equal(ledger_count_lines(" grant "), 0);
    /* Here it is again: the ready session, made without it, is not used. */
    assert_true(access(LEDGER_NAMESPACE_PATH, F_OK) == 0);
    harness_assert_exit(run_named("calm", "true"), 0);
    assert_int_equal(ledger_count_lines(" grant "), 1);
}

static bool can_be_granted(void *context) {
    (void)context;
    return run_named("calm", "true")->status == 0;
}

/* A line is there whole or not at all, and what is not there was not granted. */
static void a_full_disk_refuses(void **state) {
    char *log;
    int fd;

    (void)state;
    ledger_kill(&ledger, SIGTERM);
    assert_int_equal(mount("tmpfs", RUN_FOLDER "/log", "tmpfs", 0, "size=16k,mode=0777"), 0);
    ledger_start(&ledger);
    harness_assert_exit(run_named("calm", "true"), 0);
    fd = open(RUN_FOLDER "/log/ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, "0123456789abcdef", 16) > 0)
        ;
    for (int i = 0; i < 60; i++)
        (void)run_named("calm", "true");
    assert_refused(run_named("calm", "true"),
                   "the log does not take the line (No space left on device)");
    log = ledger_read_log();
    assert_int_equal(log[strlen(log) - 1], '\n');
    assert_int_equal(ftruncate(fd, 0), 0);
    close(fd);
    assert_true(harness_wait_for(can_be_granted, NULL));
    assert_non_null(strstr(ledger_read_log(), " missed="));
    ledger_kill(&ledger, SIGTERM);
    assert_int_equal(umount(RUN_FOLDER "/log"), 0);
    ledger_start(&ledger);
    /* The ends that waited for room are lost with that disk, but nothing is counted for ever. */
    harness_assert_exit(run_named("lab1", "true"), 0);
}

/* SIGHUP after a rename, as logrotate(8) does. */
static void a_renamed_log_is_begun_anew(void **state) {
    (void)state;
    harness_assert_exit(run_named("before", "true"), 0);
    assert_true(ledger_wait_for_line(" end ", "\"before\""));
    assert_int_equal(rename(LEDGER_TEST_LOG, LEDGER_TEST_LOG ".1"), 0);
    assert_int_equal(kill(ledger.pid, SIGHUP), 0);
    usleep(200000);
    harness_assert_exit(run_named("anew", "true"), 0);
    assert_int_equal(ledger_count_lines("before"), 0);
    assert_true(ledger_wait_for_line(" end ", "anew"));
}

/* Holds all connections that the ledger permits to the user. Returns how many. */
static size_t take_all_connections(int *connections, size_t max) {
    size_t n = 0;

    for (size_t i = 0; i < max; i++) {
        int fd = ledger_enter(USER_WITHOUT_NAME);

        if (fd >= 0)
            connections[n++] = fd;
    }
    return n;
}

/* One user at every bound of connections: another user's launches go on. */
static void a_user_at_all_bounds_delays_nobody_else(void **state) {
    static int connections[400];
    size_t n;
    double alone, beside;

    (void)state;
    alone = harness_now();
    for (int i = 0; i < 20; i++)
        harness_assert_exit(run_as(USER_NOBODY, "calm", "true"), 0);
    alone = harness_now() - alone;
    n = take_all_connections(connections, BASE_ARRAY_SIZE(connections));
    test_assert_in_range(n, 250, 256);
    beside = harness_now();
    for (int i = 0; i < 20; i++)
        harness_assert_exit(run_as(USER_NOBODY, "calm", "true"), 0);
    beside = harness_now() - beside;
    if (beside > alone * 3 + 0.2)
        fail_msg("%.3f s beside a user at the bound, %.3f alone", beside, alone);
    for (size_t i = 0; i < n; i++)
        close(connections[i]);
    assert_true(harness_wait_for(can_be_granted, NULL));
}

/* In another UTS namespace the ledger is heard before the decision: no answer is no grant. */
static void without_an_answer_nothing_is_granted_in_another_namespace(void **state) {
    static int connections[300];
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "-n", "build1", "sh", "-c",
                 "echo ready; while [ ! -e " RUN_FOLDER "/go ]; do sleep 0.05; done; "
                 "\"$0\" -n lab2 true; echo $?; \"$0\" -d lab.corp true; echo $?",
                 UTSRUN_PATH}};
    int output, errors, status;
    pid_t pid;
    size_t n;

    (void)state;
    policy_write("10-test.conf", "permit any hostname build1 setuid\n"
                                 "permit any hostname lab2 build1 domainname lab.corp");
    pid = harness_start(&run, &output, &errors);
    assert_string_equal(harness_read_line(output), "ready");
    n = take_all_connections(connections, BASE_ARRAY_SIZE(connections));
    test_assert_in_range(n, 250, 256);
    assert_int_equal(system(": > " RUN_FOLDER "/go"), 0);
    assert_string_equal(harness_read_line(output), "125");
    assert_string_equal(harness_read_line(output), "125");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    for (size_t i = 0; i < n; i++)
        close(connections[i]);
    assert_int_equal(unlink(RUN_FOLDER "/go"), 0);
    assert_int_equal(ledger_count_lines("lab2"), 0);
    close(output);
    close(errors);
    policy_clear();
}

/* A TCP socket whose other end does not read: its close(2) waits for ever (SO_LINGER). */
static int make_lingering_socket(void) {
    const struct linger linger = {.l_onoff = 1, .l_linger = 600};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    static char bytes[1 << 16];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    assert_true(connect(fd, (struct sockaddr *)&address, size) == 0 || errno == EINPROGRESS);
    assert_true(accept(listener, NULL, NULL) >= 0); /* kept, and never read */
    usleep(10000);
    while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    close(listener);
    return fd;
}

/* As a session that was taken over: sends what must not be closed, behind @n_empty empty records.
 * It closes nothing itself; a socket does not linger at the end of a process. */
static _Noreturn void send_wrong_descriptors(int lingering, int n_empty) {
    int fd, fds[16];

    (void)raise(SIGSTOP); /* until the test has closed its copy: it must not linger */
    fd = ledger_enter(USER_WITHOUT_NAME);

    for (size_t i = 0; i < BASE_ARRAY_SIZE(fds); i++)
        fds[i] = lingering;
    (void)kill(ledger.pid, SIGSTOP); /* else it hangs up after the first record */
    if (n_empty == 0)
        (void)channel_send(fd, "bad", 3, NULL, 0);
    for (int i = 0; i < n_empty; i++)
        (void)send(fd, "", 0, MSG_NOSIGNAL);
    (void)channel_send(fd, "", 0, fds, BASE_ARRAY_SIZE(fds));
    (void)channel_send(fd, "x", 1, fds, BASE_ARRAY_SIZE(fds));
    _exit(0);
}

/* However many a user sends, other users are served. */
static void wrong_descriptors_delay_nobody(void **state) {
    double before = harness_now();

    (void)state;
    for (int i = 0; i < 40; i++) {
        int lingering = make_lingering_socket(), status;
        pid_t pid = fork();

        if (pid == 0)
            send_wrong_descriptors(lingering, 2 - i % 3);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
        close(lingering);
        assert_int_equal(kill(pid, SIGCONT), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(kill(ledger.pid, SIGCONT), 0); /* now it has the last copies */
        harness_assert_exit(run_as(USER_NOBODY, "calm", "true"), 0);
    }
    if (harness_now() - before > 10)
        fail_msg("%.1f s", harness_now() - before);
    /* The user's own launches are refused from then on, until the ledger is started again. */
    ledger_kill(&ledger, SIGKILL);
    ledger_start(&ledger);
    harness_assert_exit(run_named("calm", "true"), 0);
}

static int connect_here(void) {
    struct sockaddr_un address;
    const socklen_t size = ledger_address(&address);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    return connect(fd, (const struct sockaddr *)&address, size) < 0 ? errno : 0;
}

/* Tried twice: what the first try leaves open must not help. Returns an exit status. */
static int try_to_connect(void) {
    for (int i = 0; i < 2; i++) {
        int fd = open(LEDGER_NAMESPACE_PATH, O_RDONLY | O_CLOEXEC);

        if (connect_here() != ECONNREFUSED)
            return 1;
        if (fd < 0 || setns(fd, CLONE_NEWNET) == 0 || errno != EPERM)
            return 2;
        if (connect_here() != ECONNREFUSED)
            return 3;
    }
    return 0;
}

static void nobody_but_a_broker_can_connect(void **state) {
    static const char *const who[] = {"a user", "the root of a user namespace",
                                      "a user who once was root"};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(who); i++) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
            harness_become(i == 2 ? USER_NOBODY : USER_WITHOUT_NAME);
            if (i == 1 && unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
                _exit(errno == EPERM || errno == ENOSPC ? 0 : 4); /* no user namespaces here */
            _exit(try_to_connect());
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status != 0)
            fail_msg("%s: %d", who[i], WEXITSTATUS(status));
    }
    /* A command of ours inherits no connection, and can do no more than a user. */
    harness_assert_exit(
        run_named("calm", "nsenter --net=" LEDGER_NAMESPACE_PATH " true 2>/dev/null && exit 1; "
                          "for f in /proc/self/fd/*; do case $(readlink $f) in socket:*) exit 2;; "
                          "esac; done; ! grep -q utsbroker-ledger /proc/net/unix"),
        0);
}

/* One name by one rule, the other by another, from inside: together no rule gives them. */
static void names_do_not_add_up(void **state) {
    static struct result result;
    struct run run = {.user = USER_WITHOUT_NAME,
                      .argv = {UTSRUN_PATH, "-n", "build1", UTSRUN_PATH, "-d", "lab.corp", "sh",
                               "-c", "uname -n; cat /proc/sys/kernel/domainname"}};

    (void)state;
    policy_write("10-test.conf", "permit any hostname build1 setuid\n"
                                 "permit any domainname lab.corp setuid");
    harness_run(&run, &result);
    assert_refused(&result, "host name 'build1' (inherited) and NIS domain name 'lab.corp' denied");
    assert_true(ledger_wait_for_line(" refusal ", "hostname=\"build1\" domainname=\"lab.corp\""));
    policy_write("20-test.conf", "permit any hostname build1 domainname lab.corp");
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    assert_string_equal(result.output, "build1\nlab.corp\n");
    /* Here, where the names are the machine's own, only what is asked for counts. */
    run.argv[1] = "-d";
    run.argv[2] = "lab.corp";
    run.argv[3] = "true";
    run.argv[4] = NULL;
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    policy_clear();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(each_decision_is_a_line_before_its_reply, begin),
    cmocka_unit_test_setup(a_command_that_cannot_be_executed_is_a_failure_without_end, begin),
    cmocka_unit_test_setup(a_limit_counts_by_the_meaning_of_a_rule, begin),
    cmocka_unit_test_setup(a_limit_counts_both_modes_together_and_users_apart, begin),
    cmocka_unit_test_setup(simultaneous_requests_cannot_exceed_the_limit, begin),
    cmocka_unit_test_setup(limits_survive_the_end_of_the_ledger, begin),
    cmocka_unit_test_setup(a_ledger_that_ends_says_so, begin),
    cmocka_unit_test_setup(restarts_lose_nothing, begin),
    cmocka_unit_test_setup(the_next_may_begin_as_soon_as_one_has_ended, begin),
    cmocka_unit_test_setup(a_reused_pid_counts_for_nobody, begin),
    cmocka_unit_test_setup(the_first_launch_after_a_restart_is_granted, begin),
    cmocka_unit_test_setup(without_an_answer_nothing_is_granted, begin),
    cmocka_unit_test_setup(what_is_no_namespace_is_no_ledger_but_an_error, begin),
    cmocka_unit_test_setup(a_machine_without_a_ledger_refuses_limits, begin),
    cmocka_unit_test_setup(a_full_disk_refuses, begin),
    cmocka_unit_test_setup(a_renamed_log_is_begun_anew, begin),
    cmocka_unit_test_setup(a_user_at_all_bounds_delays_nobody_else, begin),
    cmocka_unit_test_setup(nobody_but_a_broker_can_connect, begin),
    cmocka_unit_test_setup(wrong_descriptors_delay_nobody, begin),
};

static const struct CMUnitTest direct_tests[] = {
    cmocka_unit_test_setup(names_do_not_add_up, begin),
    cmocka_unit_test_setup(without_an_answer_nothing_is_granted_in_another_namespace, begin),
};

static const struct CMUnitTest service_tests[] = {
    cmocka_unit_test_setup(limits_survive_the_end_of_the_service, begin),
    cmocka_unit_test_setup(the_end_of_a_command_without_its_launcher_is_logged, begin),
    cmocka_unit_test_setup(the_end_of_a_command_without_a_reply_is_logged, begin),
    cmocka_unit_test_setup(a_slow_gate_is_waited_for, begin),
};

HARNESS_MAIN_OF_BOTH(tests, direct_tests, service_tests, set_up, tear_down)
