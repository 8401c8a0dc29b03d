/*
 * The moments between the clone and the execution of a command, in which somebody holds a
 * capability: somebody else who runs as the same user attacks, signals or kills session and gate
 * behind every system call that they make. Nobody gets a capability, and no command runs that was
 * not granted.
 *
 * The programs are those that are shipped: no hook waits in them. A tracer of root's takes a
 * process from call to call (stepper.h), and lets go of it while it is attacked.
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
#include "utsbroker/channel.h"

#define PERMITTED "only.test"
#define DENIED "x.test"
#define OUTPUT_FOLDER "/tmp/utsbroker-test-moments"
#define OUTPUT_PATH OUTPUT_FOLDER "/output"

enum { PATIENCE_MS = 20000, STEPS_MAX = 1000 };

/* What a command writes down: its name, and what it holds. */
static char script[] = "{ uname -n; grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs|Seccomp):' "
                       "/proc/self/status; } > " OUTPUT_PATH;
static char good_output[512];

/* How the launches ended, and how many moments were tried. */
static struct { unsigned granted, refused, unanswered, moments; } tally;

/* One launch, as it is followed. */
struct moment {
    pid_t client;
    int channel; /* to the client */
    bool has_asked, follows_gate;
    struct stepper session, gate; /* pid 0: not there yet */
    struct attacker *attacker;
};

/* What a command of the client's own does is its own matter: it ends when that has ended. */
static void client_wait(struct speaker *speaker) {
    char notice[256];

    while (recv(speaker->channel, notice, sizeof(notice), 0) > 0)
        ;
    (void)speaker_close(speaker);
}

/*
 * The client, a process of the user's: tells who its broker is (direct mode), asks when it is told
 * to, and tells what was answered.
 */
static _Noreturn void client_run(int channel, const char *hostname) {
    static char *const command[] = {"sh", "-c", script, NULL};
    const struct protocol_request request = speaker_request(hostname);
    int fds[] = {speaker_describe(command), open("/", O_PATH | O_CLOEXEC)};
    struct speaker speaker = {.channel = -1};
    enum protocol_status status;
    char word;

    if ((!harness_is_service() && !speaker_open_stopped(&speaker, USER_WITHOUT_NAME)) ||
        write(channel, &speaker.broker, sizeof(pid_t)) != sizeof(pid_t) ||
        read(channel, &word, 1) != 1 ||
        (harness_is_service() && !speaker_open(&speaker, USER_WITHOUT_NAME)))
        _exit(1);
    (void)channel_send(speaker.channel, &request, sizeof(request), fds, speaker_fds_needed());
    status = speaker_hear(&speaker);
    if (write(channel, &status, sizeof(status)) != sizeof(status))
        _exit(1);
    client_wait(&speaker);
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
        client_run(ends[1], hostname);
    }
    close(ends[1]);
    moment->channel = ends[0];
    assert_int_equal(read(moment->channel, brokerp, sizeof(*brokerp)), sizeof(*brokerp));
}

static void moment_ask(struct moment *moment) {
    if (!moment->has_asked)
        assert_int_equal(write(moment->channel, "", 1), 1);
    moment->has_asked = true;
}

/* Direct mode: the broker is had before its program begins, and is left where that has begun. */
static void session_follow_from_exec(struct moment *moment, pid_t broker) {
    assert_true(harness_wait_for_state(broker, "T"));
    assert_true(stepper_attach(&moment->session, broker));
    assert_int_equal(kill(broker, SIGCONT), 0);
    for (int i = 0; i < STEPS_MAX; i++)
        if (stepper_next(&moment->session) == STEPPER_EXECUTED)
            break;
    moment->session.n_steps = 0;
}

/* A launch that takes the session which waits, so that another one is made ahead. */
static void use_ready_session(void) {
    struct moment other = {.client = 0};
    enum protocol_status status;
    pid_t none;

    client_start(&other, PERMITTED, &none);
    moment_ask(&other);
    assert_int_equal(read(other.channel, &status, sizeof(status)), sizeof(status));
    assert_int_equal(waitpid(other.client, NULL, 0), other.client);
    close(other.channel);
}

/* Who waits: the zygote, and the session made ahead, with its gate. */
static bool service_is_settled(void *context) {
    pid_t *zygote = context, children[3], service = harness_service_of(USER_WITHOUT_NAME)->pid;

    *zygote = service_zygote(service);
    return *zygote != 0 && service_children(service, children, 3) == 2 &&
           harness_process_state(children[0]) == 'S' && harness_process_state(children[1]) == 'S';
}

/* Service mode: the session is had from its first moment on, as the zygote makes it. */
static void session_follow_from_clone(struct moment *moment) {
    enum stepper_state state = STEPPER_WAITS;
    struct stepper zygote;
    pid_t pid;

    if (service_zygote(harness_service_of(USER_WITHOUT_NAME)->pid) == 0)
        use_ready_session(); /* by which one is made */
    if (!harness_wait_for(service_is_settled, &pid)) {
        harness_print_processes(USER_WITHOUT_NAME->uid);
        fail_msg("no session is made ahead");
    }
    assert_true(stepper_attach(&zygote, pid));
    use_ready_session();
    for (int i = 0; i < PATIENCE_MS && state != STEPPER_CLONED && state != STEPPER_ENDED; i++)
        state = stepper_next(&zygote);
    assert_int_equal(state, STEPPER_CLONED);
    assert_true(stepper_take(&moment->session, zygote.clone));
    stepper_detach(&zygote);
}

/* Begins a launch of @hostname, whose session stands still at its beginning. */
static struct moment moment_begin(struct attacker *attacker, const char *hostname) {
    struct moment moment = {.attacker = attacker};
    pid_t broker;

    if (harness_is_service())
        session_follow_from_clone(&moment);
    (void)unlink(OUTPUT_PATH);
    client_start(&moment, hostname, &broker);
    if (!harness_is_service())
        session_follow_from_exec(&moment, broker);
    return moment;
}

static size_t output_read(char *output, size_t size) {
    FILE *file = fopen(OUTPUT_PATH, "re");
    size_t n = file != NULL ? fread(output, 1, size - 1, file) : 0;

    output[n] = '\0';
    if (file != NULL)
        fclose(file);
    return n;
}

/*
 * What the command wrote is right, or there is none. Of one whose client got no answer, or that was
 * killed, it may be the beginning only.
 */
static void output_judge(const char *hostname, enum protocol_status status, bool may_be_killed) {
    char output[1024];
    size_t n = output_read(output, sizeof(output));
    bool may_run = strcmp(hostname, PERMITTED) == 0 &&
                   (status == PROTOCOL_GRANTED || status == PROTOCOL_STATUS_COUNT);
    bool may_be_short = status == PROTOCOL_STATUS_COUNT || may_be_killed;

    if ((n > 0 && !may_run) || strncmp(output, good_output, n) != 0 ||
        (n < strlen(good_output) && status == PROTOCOL_GRANTED && !may_be_short))
        fail_msg("a command for %s, answered with status %d, wrote: %s", hostname, (int)status,
                 output);
}

/* Lets go of what is left, hears how it ends, and judges that. Returns the status of the answer. */
static enum protocol_status moment_end(struct moment *moment, const char *hostname,
                                       bool may_be_killed) {
    struct pollfd answer = {.fd = moment->channel, .events = POLLIN};
    enum protocol_status status = PROTOCOL_STATUS_COUNT;

    stepper_detach(&moment->session);
    stepper_detach(&moment->gate);
    moment_ask(moment);
    if (poll(&answer, 1, PATIENCE_MS) != 1) {
        harness_print_processes(USER_WITHOUT_NAME->uid);
        fail_msg("a launch had no end");
    }
    assert_int_equal(read(moment->channel, &status, sizeof(status)), sizeof(status));
    assert_int_equal(waitpid(moment->client, NULL, 0), moment->client);
    close(moment->channel);
    tally.granted += status == PROTOCOL_GRANTED;
    tally.unanswered += status == PROTOCOL_STATUS_COUNT;
    tally.refused += status != PROTOCOL_GRANTED && status != PROTOCOL_STATUS_COUNT;
    output_judge(hostname, status, may_be_killed);
    return status;
}

/*
 * Steps @stepper, the session or the gate, on to the next place behind a system call; the client
 * asks once the process waits for somebody. False once it has ended, or become the command, or, in
 * the service, if its launch was served by another one.
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
            moment_ask(moment);
            break;
        default:
            return false;
        }
    }
    return false;
}

/* The session goes on by itself, and the gate is had from its first moment; false: none came. */
static bool gate_follow(struct moment *moment) {
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
        "without an answer; wrong outcomes 0\n",
        what, harness_mode(), tally.moments, attacker != NULL ? attacker->n_tried : 0,
        tally.granted, tally.refused, tally.unanswered);
    memset(&tally, 0, sizeof(tally));
}

static void stepper_attack(struct moment *moment, struct stepper *stepper, const char *who) {
    char what[64];

    snprintf(what, sizeof(what), "%s behind its call %u", who, stepper->n_steps);
    assert_true(stepper_park(stepper));
    attacker_assert_fails(moment->attacker, stepper->pid, what);
    if (stepper != &moment->gate && moment->gate.pid != 0 && !moment->has_asked)
        attacker_assert_fails(moment->attacker, moment->gate.pid, "the gate meanwhile");
    assert_true(stepper_unpark(stepper));
    tally.moments++;
}

/* At every moment of the session; or of the gate, up to the last one before it is the command,
 * whose owner may look into it as they like. */
static void attack_everywhere(bool is_gate, unsigned moments_min) {
    struct attacker attacker;
    struct moment moment;
    struct stepper *victim = is_gate ? &moment.gate : &moment.session;

    attacker_start(&attacker, USER_WITHOUT_NAME);
    attacker_assert_is_able(&attacker, USER_WITHOUT_NAME);
    moment = moment_begin(&attacker, PERMITTED);
    assert_true(!is_gate || gate_follow(&moment));
    do
        stepper_attack(&moment, victim, is_gate ? "the gate" : "the session");
    while (moment_next(&moment, victim));
    (void)moment_end(&moment, PERMITTED, false);
    attacker_end(&attacker);
    assert_true(tally.moments >= moments_min && tally.granted == 1);
    tally_print(is_gate ? "gates" : "sessions", &attacker);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void a_session_cannot_be_looked_into_at_any_moment(void **state) {
    (void)state;
    attack_everywhere(false, 20);
}

static void a_gate_cannot_be_looked_into_at_any_moment(void **state) {
    (void)state;
    attack_everywhere(true, 10);
}

/* Those that stay: the service, the zygote, and what is made ahead. */
static void who_waits_cannot_be_looked_into(void **state) {
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
        attacker_assert_fails(&attacker, children[i], "a child of the service's");
    }
    attacker_end(&attacker);
    tally_print("who waits", &attacker);
}

/* Kills the session (or the gate) behind its call @step. False if it has ended before. */
static bool kill_at(const char *hostname, bool is_gate, unsigned step) {
    struct moment moment = moment_begin(NULL, hostname);
    struct stepper *victim = is_gate ? &moment.gate : &moment.session;
    bool is_there = !is_gate || gate_follow(&moment);

    while (is_there && victim->n_steps < step)
        is_there = moment_next(&moment, victim);
    if (is_there) {
        stepper_kill(victim);
        tally.moments++;
    }
    (void)moment_end(&moment, hostname, is_there);
    return is_there;
}

static void kill_everywhere(const char *hostname, bool is_gate) {
    unsigned step = 0;

    while (kill_at(hostname, is_gate, step))
        step++;
    assert_true(step > 10 && step < STEPS_MAX);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    tally_print(is_gate ? "killed gates" : "killed sessions", NULL);
}

static void a_session_that_is_killed_at_any_moment_releases_nothing(void **state) {
    (void)state;
    kill_everywhere(PERMITTED, false);
    kill_everywhere(DENIED, false);
}

static void a_gate_that_is_killed_at_any_moment_is_no_command(void **state) {
    (void)state;
    kill_everywhere(PERMITTED, true);
}

enum role { SESSION, GATE, ZYGOTE, ROLES };

/* Those that nobody dies or stops of. */
static bool is_harmless(int signal_number) {
    return signal_number == SIGCHLD || signal_number == SIGURG || signal_number == SIGWINCH ||
           signal_number == SIGCONT;
}

static bool is_stop(int signal_number) {
    return signal_number == SIGSTOP || signal_number == SIGTSTP || signal_number == SIGTTIN ||
           signal_number == SIGTTOU;
}

/* While all wait, somebody sends a signal; then the client asks; what was stopped is continued. */
static void signal_try(struct attacker *attacker, enum role role, int signal_number) {
    struct moment moment = moment_begin(attacker, PERMITTED);
    enum protocol_status status;
    pid_t pids[ROLES] = {0};

    assert_true(gate_follow(&moment));
    stepper_detach(&moment.gate);
    pids[SESSION] = moment.session.pid;
    pids[GATE] = moment.gate.pid;
    if (harness_is_service())
        pids[ZYGOTE] = service_zygote(harness_service_of(USER_WITHOUT_NAME)->pid);
    assert_true(harness_wait_for_state(pids[SESSION], "S"));
    assert_true(harness_wait_for_state(pids[GATE], "S"));
    attacker_signal(attacker, pids[role], signal_number);
    moment_ask(&moment);
    if (is_stop(signal_number)) { /* stopped for ever, it would be waited for as long */
        usleep(20000);
        (void)kill(pids[role], SIGCONT); /* one whose group is orphaned did not stop */
    }
    tally.moments++;
    status = moment_end(&moment, PERMITTED, true);
    if (is_harmless(signal_number) && status != PROTOCOL_GRANTED)
        fail_msg("signal %d, which hurts nobody, ended with status %d", signal_number, (int)status);
}

static void no_signal_makes_a_command_of_what_waits(void **state) {
    struct attacker attacker;

    (void)state;
    attacker_start(&attacker, USER_WITHOUT_NAME);
    for (enum role role = SESSION; role < (harness_is_service() ? ROLES : ZYGOTE); role++)
        for (int number = 1; number <= SIGRTMAX; number++)
            signal_try(&attacker, role, number);
    attacker_end(&attacker);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    tally_print("signals", NULL);
}

/* As a service manager would: with the same socket. */
static void service_restart(void) {
    struct test_service *service = harness_service_of(USER_WITHOUT_NAME);
    char *const options[] = {"--idle-exit", "0", NULL};
    const struct test_service old = *service;

    close(old.listen_fd);
    service_start(service, USER_WITHOUT_NAME, old.path, options);
}

/* Kills the service behind the gate's call @step. False if the gate was the command before. */
static bool service_kill_at(unsigned step) {
    struct moment moment = moment_begin(NULL, PERMITTED);
    const struct test_service *service = harness_service_of(USER_WITHOUT_NAME);
    bool is_there = gate_follow(&moment);

    while (is_there && moment.gate.n_steps < step)
        is_there = moment_next(&moment, &moment.gate);
    if (is_there) {
        assert_int_equal(kill(service->pid, SIGKILL), 0);
        assert_int_equal(waitpid(service->pid, NULL, 0), service->pid);
        tally.moments++;
        service_restart();
    }
    (void)moment_end(&moment, PERMITTED, true);
    return is_there;
}

static void a_service_that_is_killed_at_any_moment_releases_nothing(void **state) {
    unsigned step = 0;

    (void)state;
    while (service_kill_at(step))
        step++;
    assert_true(step > 10 && step < STEPS_MAX);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    tally_print("killed services", NULL);
}

static int set_up(void **state) {
    if (harness_mount_dev() < 0 || harness_set_up(state) < 0)
        return -1;
    policy_write("10-test.conf", "permit any hostname " PERMITTED "\ndeny any\n");
    (void)snprintf(good_output, sizeof(good_output),
                   PERMITTED "\nCapInh:\t%016x\nCapPrm:\t%016x\nCapEff:\t%016x\nCapAmb:\t%016x\n"
                             "NoNewPrivs:\t1\nSeccomp:\t%s\n",
                   0, 0, 0, 0, harness_status_line(getpid(), "Seccomp"));
    if ((mkdir(OUTPUT_FOLDER, 0700) < 0 && errno != EEXIST) ||
        chown(OUTPUT_FOLDER, USER_WITHOUT_NAME->uid, USER_WITHOUT_NAME->gid) < 0)
        return -1;
    if (harness_is_service()) {
        /* While a policy is that new, it is read with each request, and the zygote, which is
         * traced here, replaced. */
        sleep(3);
        use_ready_session();
    }
    return 0;
}

static int tear_down(void **state) {
    (void)unlink(OUTPUT_PATH);
    (void)rmdir(OUTPUT_FOLDER);
    return harness_tear_down(state);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_session_cannot_be_looked_into_at_any_moment),
    cmocka_unit_test(a_gate_cannot_be_looked_into_at_any_moment),
    cmocka_unit_test(a_session_that_is_killed_at_any_moment_releases_nothing),
    cmocka_unit_test(a_gate_that_is_killed_at_any_moment_is_no_command),
    cmocka_unit_test(no_signal_makes_a_command_of_what_waits),
};

static const struct CMUnitTest direct_tests[] = {HARNESS_NO_TEST};

static const struct CMUnitTest service_tests[] = {
    cmocka_unit_test(who_waits_cannot_be_looked_into),
    cmocka_unit_test(a_service_that_is_killed_at_any_moment_releases_nothing),
};

HARNESS_MAIN_OF_BOTH(tests, direct_tests, service_tests, set_up, tear_down)
