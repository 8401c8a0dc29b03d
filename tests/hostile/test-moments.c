/*
 * Between the clone and the execution of a command, session and gate hold a capability. After each
 * of their system calls another process of the same user attacks, signals or kills them. The
 * attacker gets no capability, and no command runs without a grant. Whoever was killed when, the
 * ledger then counts nothing, and has an end for each grant.
 *
 * The programs are the shipped ones, without any hook for tests. A tracer that runs as root steps a
 * process from call to call (stepper.h), and detaches from it during each attack.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/hostile/attacker.h"
#include "tests/hostile/speaker.h"
#include "tests/hostile/stepper.h"
#include "tests/integration/ledger.h"
#include "utsbroker/channel.h"

#define PERMITTED "only.test"
#define DENIED "x.test"
#define OUTPUT_FOLDER "/tmp/utsbroker-test-moments"
#define OUTPUT_PATH OUTPUT_FOLDER "/output"

enum { PATIENCE_MS = 20000, STEPS_MAX = 1000 };

/* The command writes its host name and its privileges to a file. */
static char script[] = "{ uname -n; grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs|Seccomp):' "
                       "/proc/self/status; } > " OUTPUT_PATH;
static char good_output[512];

static struct test_ledger ledger;

/* How the launches ended, and how many moments were tried. */
static struct { unsigned granted, refused, unanswered, moments; } tally;

/* One launch, and the processes that the test steps. */
struct moment {
    pid_t client;
    int channel; /* to the client */
    bool has_asked, follows_gate;
    struct stepper session, gate; /* pid 0: does not exist yet */
    struct attacker *attacker;
};

/* Reads notices until the broker closes the connection, which it does when the command has ended.
 */
static void wait_for_command(struct speaker *speaker) {
    char notice[256];

    while (recv(speaker->channel, notice, sizeof(notice), 0) > 0)
        ;
    (void)speaker_close(speaker);
}

/*
 * The client, a process of the user. In direct mode it reports its broker's pid. It sends its
 * request when the test writes a byte, and reports the status of the reply.
 */
static _Noreturn void run_client(int channel, const char *hostname) {
    static char *const command[] = {"sh", "-c", script, NULL};
    const struct protocol_request request = speaker_request(hostname);
    int fds[] = {speaker_describe(command), open("/", O_PATH | O_CLOEXEC)};
    struct speaker speaker = {.channel = -1};
    enum protocol_status status;
    char byte;

    if ((!harness_is_service() && !speaker_open_stopped(&speaker, USER_WITHOUT_NAME)) ||
        write(channel, &speaker.broker, sizeof(pid_t)) != sizeof(pid_t) ||
        read(channel, &byte, 1) != 1 ||
        (harness_is_service() && !speaker_open(&speaker, USER_WITHOUT_NAME)))
        _exit(1);
    (void)channel_send(speaker.channel, &request, sizeof(request), fds, speaker_fds_needed());
    status = speaker_hear(&speaker);
    if (write(channel, &status, sizeof(status)) != sizeof(status))
        _exit(1);
    wait_for_command(&speaker);
    _exit(0);
}

static void client_start(struct moment *moment, const char *hostname, pid_t *brokerp) {
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    moment->client = fork();
    assert_true(moment->client >= 0);
    if (moment->client == 0) {
        close(ends[0]);
        speaker_become(USER_WITHOUT_NAME, 120);
        run_client(ends[1], hostname);
    }
    close(ends[1]);
    moment->channel = ends[0];
    assert_int_equal(read(moment->channel, brokerp, sizeof(*brokerp)), sizeof(*brokerp));
}

static void moment_send_request(struct moment *moment) {
    if (!moment->has_asked)
        assert_int_equal(write(moment->channel, "", 1), 1);
    moment->has_asked = true;
}

/* Direct mode: attaches to the stopped broker, and steps it until it has executed its program. */
static void moment_follow_executed_session(struct moment *moment, pid_t broker) {
    assert_true(harness_wait_for_state(broker, "T"));
    assert_true(stepper_attach(&moment->session, broker));
    assert_int_equal(kill(broker, SIGCONT), 0);
    for (int i = 0; i < STEPS_MAX; i++)
        if (stepper_next(&moment->session) == STEPPER_EXECUTED)
            break;
    moment->session.n_steps = 0;
}

/* Makes a launch that uses the ready session, so that the zygote makes another one. */
static void use_ready_session(void) {
    struct moment other = {.client = 0};
    enum protocol_status status;
    pid_t none;

    client_start(&other, PERMITTED, &none);
    moment_send_request(&other);
    assert_int_equal(read(other.channel, &status, sizeof(status)), sizeof(status));
    assert_int_equal(waitpid(other.client, NULL, 0), other.client);
    close(other.channel);
}

/* An idle service has two children that wait: the zygote and the ready session, with its gate. */
static bool is_service_idle(void *context) {
    pid_t *zygote = context, children[3], service = harness_service_of(USER_WITHOUT_NAME)->pid;

    *zygote = service_zygote(service);
    return *zygote != 0 && service_children(service, children, 3) == 2 &&
           harness_process_state(children[0]) == 'S' && harness_process_state(children[1]) == 'S';
}

/* Service mode: attaches to the zygote, and takes the next session as soon as it is cloned. */
static void moment_follow_cloned_session(struct moment *moment) {
    enum stepper_state state = STEPPER_WAITS;
    struct stepper zygote;
    pid_t pid;

    if (service_zygote(harness_service_of(USER_WITHOUT_NAME)->pid) == 0)
        use_ready_session(); /* after that the service starts a zygote */
    if (!harness_wait_for(is_service_idle, &pid)) {
        harness_print_processes(USER_WITHOUT_NAME->uid);
        fail_msg("the service has no ready session");
    }
    assert_true(stepper_attach(&zygote, pid));
    use_ready_session();
    for (int i = 0; i < PATIENCE_MS && state != STEPPER_CLONED && state != STEPPER_ENDED; i++)
        state = stepper_next(&zygote);
    assert_int_equal(state, STEPPER_CLONED);
    assert_true(stepper_take(&moment->session, zygote.clone));
    stepper_detach(&zygote);
}

/* Starts a launch of @hostname; its session is stopped at its beginning. */
static struct moment moment_start(struct attacker *attacker, const char *hostname) {
    struct moment moment = {.attacker = attacker};
    pid_t broker;

    if (harness_is_service())
        moment_follow_cloned_session(&moment);
    (void)unlink(OUTPUT_PATH);
    client_start(&moment, hostname, &broker);
    if (!harness_is_service())
        moment_follow_executed_session(&moment, broker);
    return moment;
}

static size_t read_output(char *output, size_t size) {
    FILE *file = fopen(OUTPUT_PATH, "re");
    size_t n = file != NULL ? fread(output, 1, size - 1, file) : 0;

    output[n] = '\0';
    if (file != NULL)
        fclose(file);
    return n;
}

/*
 * The command's output must be correct; without a grant there must be none. The output may be cut
 * off if the client got no reply, or if a process was killed.
 */
static void assert_output(const char *hostname, enum protocol_status status, bool may_be_killed) {
    char output[1024];
    size_t n = read_output(output, sizeof(output));
    bool may_run = strcmp(hostname, PERMITTED) == 0 &&
                   (status == PROTOCOL_GRANTED || status == PROTOCOL_STATUS_COUNT);
    bool may_be_short = status == PROTOCOL_STATUS_COUNT || may_be_killed;

    if ((n > 0 && !may_run) || strncmp(output, good_output, n) != 0 ||
        (n < strlen(good_output) && status == PROTOCOL_GRANTED && !may_be_short))
        fail_msg("a command for %s ran after a reply with status %d, and wrote: %s", hostname,
                 (int)status, output);
}

/* Detaches, waits for the end of the launch, and checks it. Returns the status of the reply. */
static enum protocol_status moment_end(struct moment *moment, const char *hostname,
                                       bool may_be_killed) {
    struct pollfd answer = {.fd = moment->channel, .events = POLLIN};
    enum protocol_status status = PROTOCOL_STATUS_COUNT;

    stepper_detach(&moment->session);
    stepper_detach(&moment->gate);
    moment_send_request(moment);
    if (poll(&answer, 1, PATIENCE_MS) != 1) {
        harness_print_processes(USER_WITHOUT_NAME->uid);
        fail_msg("a launch does not end");
    }
    assert_int_equal(read(moment->channel, &status, sizeof(status)), sizeof(status));
    assert_int_equal(waitpid(moment->client, NULL, 0), moment->client);
    close(moment->channel);
    tally.granted += status == PROTOCOL_GRANTED;
    tally.unanswered += status == PROTOCOL_STATUS_COUNT;
    tally.refused += status != PROTOCOL_GRANTED && status != PROTOCOL_STATUS_COUNT;
    assert_output(hostname, status, may_be_killed);
    return status;
}

/*
 * Steps @stepper, the session or the gate, until it has made its next system call. When the process
 * waits, the client sends its request. Returns false if the process has ended or has become the
 * command, or, in service mode, if another session has served the launch.
 */
static bool moment_next(struct moment *moment, struct stepper *stepper) {
    for (int i = 0; i < PATIENCE_MS; i++) {
        switch (stepper_next(stepper)) {
        case STEPPER_STOPPED:
            return true;
        case STEPPER_CLONED:
            assert_true(stepper_take(&moment->gate, stepper->clone));
            if (!moment->follows_gate)
                stepper_detach(&moment->gate);
            return true;
        case STEPPER_WAITS:
            if (moment->has_asked && i > 2000)
                return false;
            moment_send_request(moment);
            break;
        default:
            return false;
        }
    }
    return false;
}

/* Takes the gate as soon as it is cloned, and detaches from the session. False: there is none. */
static bool moment_follow_gate(struct moment *moment) {
    moment->follows_gate = true;
    while (moment->gate.pid == 0)
        if (!moment_next(moment, &moment->session))
            return false;
    stepper_detach(&moment->session);
    return true;
}

static void tally_print(const char *what, const struct attacker *attacker) {
    print_message(
        "tried: %s in %s mode: %u moments, %u attempts; launches: %u granted, %u refused, %u "
        "without a reply; wrong outcomes 0\n",
        what, harness_mode(), tally.moments, attacker != NULL ? attacker->n_tried : 0,
        tally.granted, tally.refused, tally.unanswered);
    memset(&tally, 0, sizeof(tally));
}

static void attack(struct moment *moment, struct stepper *stepper, const char *who) {
    char what[64];

    snprintf(what, sizeof(what), "%s after its call %u", who, stepper->n_steps);
    assert_true(stepper_park(stepper));
    attacker_assert_fails(moment->attacker, stepper->pid, what);
    if (stepper != &moment->gate && moment->gate.pid != 0 && !moment->has_asked)
        attacker_assert_fails(moment->attacker, moment->gate.pid, "the gate of this session");
    assert_true(stepper_unpark(stepper));
    tally.moments++;
}

/* Attacks the session, or the gate until it becomes the command: the user may access the command.
 */
static void attack_after_each_call(bool is_gate, unsigned moments_min) {
    struct attacker attacker;
    struct moment moment;
    struct stepper *victim = is_gate ? &moment.gate : &moment.session;

    attacker_start(&attacker, USER_WITHOUT_NAME);
    attacker_assert_is_able(&attacker, USER_WITHOUT_NAME);
    moment = moment_start(&attacker, PERMITTED);
    assert_true(!is_gate || moment_follow_gate(&moment));
    do
        attack(&moment, victim, is_gate ? "the gate" : "the session");
    while (moment_next(&moment, victim));
    (void)moment_end(&moment, PERMITTED, false);
    attacker_end(&attacker);
    assert_true(tally.moments >= moments_min && tally.granted == 1);
    tally_print(is_gate ? "gates" : "sessions", &attacker);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void no_process_of_the_user_can_access_a_session(void **state) {
    (void)state;
    attack_after_each_call(false, 20);
}

static void no_process_of_the_user_can_access_a_gate(void **state) {
    (void)state;
    attack_after_each_call(true, 10);
}

/* The idle processes: the service, the zygote and the ready session. */
static void no_process_of_the_user_can_access_an_idle_service(void **state) {
    struct attacker attacker;
    pid_t children[8], service;
    size_t n;

    (void)state;
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    service = harness_service_of(USER_WITHOUT_NAME)->pid;
    n = children_of(service, children, BASE_ARRAY_SIZE(children));
    assert_int_equal(n, SERVICE_PROCESSES - 1);
    attacker_start(&attacker, USER_WITHOUT_NAME);
    attacker_assert_is_able(&attacker, USER_WITHOUT_NAME);
    attacker_assert_fails(&attacker, service, "the service");
    for (size_t i = 0; i < n; i++) {
        assert_true(harness_wait_for_state(children[i], "S"));
        attacker_assert_fails(&attacker, children[i], "a child of the service");
    }
    attacker_end(&attacker);
    tally_print("idle services", &attacker);
}

/* Kills the session (or the gate) after its call @step. Returns false if it ended earlier. */
static bool kill_after_call(const char *hostname, bool is_gate, unsigned step) {
    struct moment moment = moment_start(NULL, hostname);
    struct stepper *victim = is_gate ? &moment.gate : &moment.session;
    bool is_there = !is_gate || moment_follow_gate(&moment);

    while (is_there && victim->n_steps < step)
        is_there = moment_next(&moment, victim);
    if (is_there) {
        stepper_kill(victim);
        tally.moments++;
    }
    (void)moment_end(&moment, hostname, is_there);
    return is_there;
}

static void kill_after_each_call(const char *hostname, bool is_gate) {
    unsigned step = 0;

    while (kill_after_call(hostname, is_gate, step))
        step++;
    assert_true(step > 10 && step < STEPS_MAX);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    tally_print(is_gate ? "killed gates" : "killed sessions", NULL);
}

static void a_killed_session_releases_no_command_without_a_grant(void **state) {
    (void)state;
    kill_after_each_call(PERMITTED, false);
    kill_after_each_call(DENIED, false);
}

static void a_killed_gate_never_becomes_a_wrong_command(void **state) {
    (void)state;
    kill_after_each_call(PERMITTED, true);
}

enum role { SESSION, GATE, ZYGOTE, ROLES };

/* Signals that by default neither end nor stop a process. */
static bool is_harmless(int signal_number) {
    return signal_number == SIGCHLD || signal_number == SIGURG || signal_number == SIGWINCH ||
           signal_number == SIGCONT;
}

static bool is_stop(int signal_number) {
    return signal_number == SIGSTOP || signal_number == SIGTSTP || signal_number == SIGTTIN ||
           signal_number == SIGTTOU;
}

/*
 * While session and gate wait, the attacker sends a signal to one process of the broker. Then the
 * client sends its request, and the test continues a process that was stopped.
 */
static void try_signal(struct attacker *attacker, enum role role, int signal_number) {
    struct moment moment = moment_start(attacker, PERMITTED);
    enum protocol_status status;
    pid_t pids[ROLES] = {0};

    assert_true(moment_follow_gate(&moment));
    stepper_detach(&moment.gate);
    pids[SESSION] = moment.session.pid;
    pids[GATE] = moment.gate.pid;
    if (harness_is_service())
        pids[ZYGOTE] = service_zygote(harness_service_of(USER_WITHOUT_NAME)->pid);
    assert_true(harness_wait_for_state(pids[SESSION], "S"));
    assert_true(harness_wait_for_state(pids[GATE], "S"));
    attacker_signal(attacker, pids[role], signal_number);
    moment_send_request(&moment);
    if (is_stop(signal_number)) { /* otherwise the launch would wait forever */
        usleep(20000);
        (void)kill(pids[role], SIGCONT); /* in an orphaned process group it did not stop */
    }
    tally.moments++;
    status = moment_end(&moment, PERMITTED, true);
    if (is_harmless(signal_number) && status != PROTOCOL_GRANTED)
        fail_msg("harmless signal %d: the reply has status %d", signal_number, (int)status);
}

static void no_signal_starts_a_command_without_a_grant(void **state) {
    struct attacker attacker;

    (void)state;
    attacker_start(&attacker, USER_WITHOUT_NAME);
    for (enum role role = SESSION; role < (harness_is_service() ? ROLES : ZYGOTE); role++)
        for (int number = 1; number <= SIGRTMAX; number++)
            try_signal(&attacker, role, number);
    attacker_end(&attacker);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    tally_print("signals", NULL);
}

/* Restarts the service at the same socket path, as a service manager does. */
static void restart_service(void) {
    struct test_service *service = harness_service_of(USER_WITHOUT_NAME);
    char *const options[] = {"--idle-exit", "0", NULL};
    const struct test_service old = *service;

    close(old.listen_fd);
    service_start(service, USER_WITHOUT_NAME, old.path, options);
}

/* Kills the service after the gate's call @step. Returns false if the gate made fewer calls. */
static bool kill_service_after_call(unsigned step) {
    struct moment moment = moment_start(NULL, PERMITTED);
    const struct test_service *service = harness_service_of(USER_WITHOUT_NAME);
    bool is_there = moment_follow_gate(&moment);

    while (is_there && moment.gate.n_steps < step)
        is_there = moment_next(&moment, &moment.gate);
    if (is_there) {
        assert_int_equal(kill(service->pid, SIGKILL), 0);
        assert_int_equal(waitpid(service->pid, NULL, 0), service->pid);
        tally.moments++;
        restart_service();
    }
    (void)moment_end(&moment, PERMITTED, true);
    return is_there;
}

static void a_killed_service_releases_no_command_without_a_grant(void **state) {
    unsigned step = 0;

    (void)state;
    while (kill_service_after_call(step))
        step++;
    assert_true(step > 10 && step < STEPS_MAX);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    tally_print("killed services", NULL);
}

static int set_up(void **state) {
    if (harness_mount_dev() < 0 || ledger_set_up() < 0)
        return -1;
    ledger_start(&ledger);
    if (harness_set_up(state) < 0)
        return -1;
    /* More than one: the ledger learns of an end some milliseconds later. */
    policy_write("10-test.conf", "permit any hostname " PERMITTED " limit 4\ndeny any\n");
    (void)snprintf(good_output, sizeof(good_output),
                   PERMITTED "\nCapInh:\t%016x\nCapPrm:\t%016x\nCapEff:\t%016x\nCapAmb:\t%016x\n"
                             "NoNewPrivs:\t1\nSeccomp:\t%s\n",
                   0, 0, 0, 0, harness_status_line(getpid(), "Seccomp"));
    if ((mkdir(OUTPUT_FOLDER, 0700) < 0 && errno != EEXIST) ||
        chown(OUTPUT_FOLDER, USER_WITHOUT_NAME->uid, USER_WITHOUT_NAME->gid) < 0)
        return -1;
    if (harness_is_service()) {
        /* While the policy is new, the service reads it for each request and replaces the zygote,
         * but this test traces the zygote. */
        sleep(3);
        use_ready_session();
    }
    return 0;
}

static bool is_nothing_alive(void *context) {
    static struct live_command live[8];

    (void)context;
    return ledger_read_live(live, BASE_ARRAY_SIZE(live)) == 0;
}

static int tear_down(void **state) {
    int r = harness_tear_down(state);
    size_t n_grants, n_ends;

    (void)unlink(OUTPUT_PATH);
    (void)rmdir(OUTPUT_FOLDER);
    if (!harness_wait_for(is_nothing_alive, NULL)) {
        print_error("the ledger counts commands that have ended\n");
        r = -1;
    }
    /* A command that was not executed has a failure instead. */
    n_grants = ledger_count_lines("Z grant ");
    n_ends = ledger_count_lines("Z end ") + ledger_count_lines("Z failure ");
    print_message("the log: %zu grants, %zu ends\n", n_grants, n_ends);
    if (n_grants == 0 || n_ends < n_grants)
        r = -1;
    ledger_kill(&ledger, SIGTERM);
    return r;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_process_of_the_user_can_access_a_session),
    cmocka_unit_test(no_process_of_the_user_can_access_a_gate),
    cmocka_unit_test(a_killed_session_releases_no_command_without_a_grant),
    cmocka_unit_test(a_killed_gate_never_becomes_a_wrong_command),
    cmocka_unit_test(no_signal_starts_a_command_without_a_grant),
};

static const struct CMUnitTest direct_tests[] = {HARNESS_NO_TEST};

static const struct CMUnitTest service_tests[] = {
    cmocka_unit_test(no_process_of_the_user_can_access_an_idle_service),
    cmocka_unit_test(a_killed_service_releases_no_command_without_a_grant),
};

HARNESS_MAIN_OF_BOTH(tests, direct_tests, service_tests, set_up, tear_down)
