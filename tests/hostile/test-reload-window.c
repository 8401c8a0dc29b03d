/*
 * From SIGHUP until it serves again, the service executes the installed program in its own place,
 * with a capability (broker/service/reload.h). After each system call of that, in the old and the
 * new program, another process of the same user attacks it, or sends it a signal. A reload comes in
 * each state of a client (broker/service/client-state.c), too.
 *
 * As in test-moments.c the programs are the shipped ones, stepped by root, and not traced during an
 * attack.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/hostile/attacker.h"
#include "tests/hostile/speaker.h"
#include "tests/hostile/stepper.h"
#include "utsbroker/channel.h"

#define PERMITTED "x.test"
#define DENIED "not.permitted"
#define FOLDER "/tmp/utsbroker-test-reload"

enum { STEPS_MAX = 3000, WAITS_MAX = 20000 };

static struct test_service *service(void) {
    return harness_service_of(USER_WITHOUT_NAME);
}

/* After this the service is a program that was not reloaded. */
static void service_begin_anew(void) {
    char *const options[] = {"--idle-exit", "0", NULL};
    struct test_service *current = service();
    const struct test_service old = *current;

    service_stop(current);
    service_start(current, USER_WITHOUT_NAME, old.path, options);
}

static void assert_served(const char *when) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", PERMITTED, "uname", "-n"}};

    harness_run(&run, &result);
    if (result.status != 0 || strcmp(result.output, PERMITTED "\n") != 0)
        fail_msg("%s: wait status 0x%x: %s", when, (unsigned)result.status, result.errors);
}

static bool exists(void *path) {
    return access(path, F_OK) == 0;
}

/* A command that lives until command_end(), which checks that its status arrives. */
struct command {
    pid_t utsrun;
    int output, errors;
};

static void command_start(struct command *command) {
    static char script[] = "cd " FOLDER "; : >begun; until [ -e go ]; do sleep 0.02; done; exit 7";
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", PERMITTED, "sh", "-c", script}};

    command->utsrun = harness_start(&run, &command->output, &command->errors);
    assert_true(harness_wait_for(exists, FOLDER "/begun"));
}

static void command_end(const struct command *command) {
    int status, fd = open(FOLDER "/go", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(waitpid(command->utsrun, &status, 0), command->utsrun);
    assert_int_equal(status, 7 << 8);
    close(command->output);
    close(command->errors);
    assert_int_equal(unlink(FOLDER "/go"), 0);
    assert_int_equal(unlink(FOLDER "/begun"), 0);
}

/* The service, stepped from SIGHUP on. */
struct window {
    struct stepper stepper;
    struct attacker *attacker; /* NULL: none */
    bool is_new;               /* it is the new program */
    unsigned n_attacks_old, n_attacks_new, n_attacks_check;
};

static void window_open(struct window *window, struct attacker *attacker) {
    *window = (struct window){.attacker = attacker};
    assert_true(stepper_attach(&window->stepper, service()->pid));
    assert_int_equal(kill(service()->pid, SIGHUP), 0);
}

/*
 * The new program is dumpable until it has dropped what it must not have, but nobody without the
 * capability gets at it.
 */
static void window_attack(struct window *window) {
    char what[64];

    if (window->attacker == NULL)
        return;
    snprintf(what, sizeof(what), "the %s program after call %u", window->is_new ? "new" : "old",
             window->stepper.n_steps);
    assert_true(stepper_park(&window->stepper));
    if (window->is_new)
        attacker_assert_only_counts(window->attacker, window->stepper.pid, what);
    else
        attacker_assert_fails(window->attacker, window->stepper.pid, what);
    assert_true(stepper_unpark(&window->stepper));
    if (window->is_new)
        window->n_attacks_new++;
    else
        window->n_attacks_old++;
}

/*
 * A child of the old program executes the new one, which checks what is handed over. It has the
 * capability until it is not dumpable, so nobody may ever get at it.
 */
static void window_follow_child(struct window *window) {
    struct stepper child;
    enum stepper_state state = STEPPER_STOPPED;
    bool is_executed = false;

    assert_true(stepper_take(&child, window->stepper.clone));
    for (int i = 0; i < STEPS_MAX && window->attacker != NULL && !window->is_new &&
                    state != STEPPER_ENDED && state != STEPPER_CLONED;
         i++) {
        is_executed = is_executed || state == STEPPER_EXECUTED;
        if (state != STEPPER_WAITS) {
            assert_true(stepper_park(&child));
            if (is_executed)
                attacker_assert_only_counts(window->attacker, child.pid, "the program that checks");
            else
                attacker_assert_fails(window->attacker, child.pid, "the child that will check");
            assert_true(stepper_unpark(&child));
            window->n_attacks_check++;
        }
        state = stepper_next(&child);
    }
    if (state != STEPPER_ENDED)
        stepper_detach(&child);
}

/* Steps it to after its next call. Returns false if the new program waits for clients. */
static bool window_next(struct window *window) {
    for (int i = 0; i < WAITS_MAX; i++) {
        switch (stepper_next(&window->stepper)) {
        case STEPPER_STOPPED:
            return true;
        case STEPPER_EXECUTED:
            window->is_new = true;
            return true;
        case STEPPER_CLONED:
            window_follow_child(window);
            return true;
        case STEPPER_WAITS:
            if (window->is_new)
                return false;
            break;
        case STEPPER_ENDED:
        default:
            fail_msg("the service has ended");
        }
    }
    fail_msg("the service waits for something");
    return false;
}

static void no_process_of_the_user_can_access_a_service_that_reloads(void **state) {
    struct attacker attacker;
    struct command command;
    struct window window;

    (void)state;
    attacker_start(&attacker, USER_WITHOUT_NAME);
    attacker_assert_is_able(&attacker, USER_WITHOUT_NAME);
    command_start(&command);
    window_open(&window, &attacker);
    do
        window_attack(&window);
    while (window_next(&window));
    stepper_detach(&window.stepper);
    attacker_end(&attacker);
    assert_true(service_is_resumed(service()));
    assert_served("after the attacks");
    command_end(&command);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    assert_true(window.n_attacks_old > 20 && window.n_attacks_new > 20 &&
                window.n_attacks_check > 20);
    print_message("tried: a reload: %u moments of the old program, %u of the new one, %u of the "
                  "child that checks; %u attempts\n",
                  window.n_attacks_old, window.n_attacks_new, window.n_attacks_check,
                  attacker.n_tried);
}

/* Reloads, and after @step calls the service gets @signal_number. Returns false if it made fewer.
 */
static bool signal_after_call(struct attacker *attacker, unsigned step, int signal_number) {
    struct window window;
    bool is_there = true;

    window_open(&window, NULL);
    while (is_there && window.stepper.n_steps < step)
        is_there = window_next(&window);
    attacker_signal(attacker, window.stepper.pid, signal_number);
    stepper_detach(&window.stepper);
    return is_there;
}

/* A signal that the user's processes may send it at any time changes nothing in the window. */
static void no_signal_hinders_a_reload(void **state) {
    static const int signals[] = {SIGHUP, SIGSTOP, SIGCHLD, SIGPIPE, SIGQUIT, SIGCONT, SIGWINCH};
    const pid_t pid = service()->pid;
    struct attacker attacker;
    struct command command;
    unsigned step = 0;
    bool is_there = true;

    (void)state;
    attacker_start(&attacker, USER_WITHOUT_NAME);
    command_start(&command);
    for (; is_there && step < STEPS_MAX; step++) {
        int signal_number = signals[step % BASE_ARRAY_SIZE(signals)];
        char when[64];

        snprintf(when, sizeof(when), "signal %d after call %u", signal_number, step);
        is_there = signal_after_call(&attacker, step, signal_number);
        if (signal_number == SIGSTOP) {
            usleep(1000);
            assert_int_equal(kill(pid, SIGCONT), 0);
        }
        if (step % 5 == 0)
            assert_served(when);
    }
    assert_int_equal(service()->pid, pid);
    assert_served("after the signals");
    attacker_end(&attacker);
    command_end(&command);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    assert_true(step > 40 && step < STEPS_MAX);
    print_message("tried: signals after each of %u calls of a reload\n", step);
}

/* A service that is told to end in the window does so afterwards, and its command with it. */
static void a_service_that_is_told_to_end_meanwhile_ends(void **state) {
    struct attacker attacker;
    unsigned step = 0, n = 0;
    bool is_there = true;

    (void)state;
    attacker_start(&attacker, USER_WITHOUT_NAME);
    for (; is_there && step < STEPS_MAX; step += 11, n++) {
        struct test_service *current = service();
        const struct test_service old = *current;
        char *const options[] = {"--idle-exit", "0", NULL};
        struct command command;
        int status;

        command_start(&command);
        is_there = signal_after_call(&attacker, step, SIGTERM);
        assert_int_equal(waitpid(old.pid, &status, 0), old.pid);
        if (status != 0)
            fail_msg("SIGTERM after call %u: wait status 0x%x", step, (unsigned)status);
        assert_int_equal(waitpid(command.utsrun, &status, 0), command.utsrun);
        assert_int_equal(status, SIGTERM);
        close(command.output);
        close(command.errors);
        assert_int_equal(unlink(FOLDER "/begun"), 0);
        close(old.listen_fd);
        service_start(current, USER_WITHOUT_NAME, old.path, options);
    }
    attacker_end(&attacker);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    assert_true(n > 4);
    print_message("tried: an end at %u moments of a reload\n", n);
}

/* A client that this test moves from state to state, a process of the user's. */
struct client {
    pid_t pid;
    int channel; /* to the test */
};

enum { SAYS_CONNECTED = 1000, SAYS_STATUS };

static void client_say(int channel, int what, int value) {
    const int words[2] = {what, value};

    if (write(channel, words, sizeof(words)) != sizeof(words))
        _exit(1);
}

/* At each byte of the test it goes one step on: connects, sends the request. Then it tells what the
 * service says. */
static _Noreturn void client_run(int channel, const char *hostname, bool is_confined) {
    static char *const argv[] = {"sh", "-c", "exit 7", NULL};
    const struct protocol_request request = speaker_request(hostname);
    const int fds[] = {speaker_describe(argv), open("/", O_PATH | O_CLOEXEC)};
    struct protocol_notice notice = {.wait_status = -1};
    struct speaker speaker;
    enum protocol_status status;
    char byte;

    if (is_confined && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(1);
    if (read(channel, &byte, 1) != 1 || !speaker_open(&speaker, USER_WITHOUT_NAME))
        _exit(1);
    client_say(channel, SAYS_CONNECTED, 0);
    if (read(channel, &byte, 1) != 1)
        _exit(1);
    (void)channel_send(speaker.channel, &request, sizeof(request), fds, 2);
    do {
        status = speaker_hear(&speaker);
        client_say(channel, (int)status, 0);
    } while (status == PROTOCOL_PROVE);
    while (status == PROTOCOL_GRANTED &&
           recv(speaker.channel, &notice, sizeof(notice), 0) == sizeof(notice) &&
           WIFSTOPPED(notice.wait_status)) /* as the gate, before it was the command */
        ;
    client_say(channel, SAYS_STATUS, notice.wait_status);
    /* The service closes the connection when all was said. */
    _exit(recv(speaker.channel, &notice, sizeof(notice), 0) == 0 ? 0 : 2);
}

static void client_start(struct client *client, const char *hostname, bool is_confined) {
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    client->pid = fork();
    if (client->pid == 0) {
        close(ends[0]);
        speaker_become(USER_WITHOUT_NAME, 60);
        client_run(ends[1], hostname, is_confined);
    }
    close(ends[1]);
    client->channel = ends[0];
}

static void client_go(const struct client *client) {
    assert_int_equal(write(client->channel, "", 1), 1);
}

static void client_expect(const struct client *client, const char *when, int what, int value) {
    struct pollfd ready = {.fd = client->channel, .events = POLLIN};
    int words[2] = {-1, -1};

    if (poll(&ready, 1, 20000) != 1 || read(client->channel, words, sizeof(words)) < 0 ||
        words[0] != what || words[1] != value)
        fail_msg("%s: %d, %d came, not %d, %d", when, words[0], words[1], what, value);
}

static void client_end(const struct client *client, const char *when) {
    int status;

    assert_int_equal(waitpid(client->pid, &status, 0), client->pid);
    if (status != 0)
        fail_msg("%s: the client ends with wait status 0x%x", when, (unsigned)status);
    close(client->channel);
}

static bool is_gate(pid_t pid) {
    struct stat ours, theirs;
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/ns/uts", (int)pid);
    return stat("/proc/self/ns/uts", &ours) == 0 && stat(path, &theirs) == 0 &&
           ours.st_ino != theirs.st_ino;
}

/* The ready session and its gate, which wait. */
struct ready {
    pid_t session, gate;
};

static bool is_ready(void *context) {
    struct ready *ready = context;
    pid_t children[3];

    if (service_children(service()->pid, children, 3) != 2)
        return false;
    ready->gate = is_gate(children[0]) ? children[0] : children[1];
    ready->session = ready->gate == children[0] ? children[1] : children[0];
    return is_gate(ready->gate) && !is_gate(ready->session) &&
           harness_process_state(ready->gate) == 'S' &&
           harness_process_state(ready->session) == 'S';
}

static struct ready ready_find(void) {
    struct ready ready;

    if (!harness_wait_for(is_ready, &ready))
        fail_msg("the service has no ready session");
    return ready;
}

static void hang_up(void) {
    assert_int_equal(kill(service()->pid, SIGHUP), 0);
}

/* Long enough for a reload that need not wait. */
static void assert_waits(const char *when) {
    usleep(300000);
    if (service_is_resumed(service()))
        fail_msg("%s: the service does not wait with the reload", when);
}

static void assert_resumes(const char *when) {
    if (!harness_wait_for(service_is_resumed, service()))
        fail_msg("%s: no reload", when);
}

/* A tracer keeps the gate, which is killed, from being reaped. */
static void gate_hold(pid_t gate) {
    assert_int_equal(ptrace(PTRACE_SEIZE, gate, NULL, NULL), 0);
}

static void gate_release(pid_t gate) {
    int status;

    do
        assert_int_equal(waitpid(gate, &status, __WALL), gate);
    while (WIFSTOPPED(status));
}

/* Steps the service to the child that checks, and the child to its first instruction of the new
 * program, where it stands. */
static void check_find(struct window *window, struct stepper *check) {
    enum stepper_state state;

    (void)ready_find();
    window_open(window, NULL);
    for (int i = 0; (state = stepper_next(&window->stepper)) != STEPPER_CLONED; i++)
        assert_true(i < WAITS_MAX && (state == STEPPER_STOPPED || state == STEPPER_WAITS));
    assert_true(stepper_take(check, window->stepper.clone));
    for (int i = 0; (state = stepper_next(check)) != STEPPER_EXECUTED; i++)
        assert_true(i < WAITS_MAX && (state == STEPPER_STOPPED || state == STEPPER_WAITS));
}

/* The child that checks has the text that is handed over, and not even the service manager's log
 * (descriptor 2): should somebody get at it, they could forge lines there. */
static void the_child_that_checks_has_no_file_of_the_service(void **state) {
    struct window window;
    struct stepper check;

    (void)state;
    check_find(&window, &check);
    for (int fd = 0; fd < 3; fd++) {
        char path[64], file[64] = "";

        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)check.pid, fd);
        if (readlink(path, file, sizeof(file) - 1) < 0 || strcmp(file, "/dev/null") != 0)
            fail_msg("descriptor %d is '%s'", fd, file);
    }
    assert_in_range(harness_count_descriptors(check.pid), 4, 5); /* the program may be one */
    stepper_detach(&check);
    stepper_detach(&window.stepper);
    assert_served("after the child was looked at");
}

/* Who attaches to it and does not let go delays the service no longer than one who kills it. */
static void who_holds_the_child_that_checks_hinders_nobody(void **state) {
    struct window window;
    struct stepper check;

    (void)state;
    service_begin_anew();
    assert_served("before");
    check_find(&window, &check);
    assert_true(stepper_park(&check));
    gate_hold(check.pid);
    assert_int_equal(kill(check.pid, SIGKILL), 0);
    stepper_detach(&window.stepper);
    assert_served("while the child is held");
    gate_release(check.pid);
    hang_up();
    assert_resumes("when it is no more");
    assert_served("after that");
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void connected_clients_are_handed_over(const char *when) {
    struct client client;

    client_start(&client, PERMITTED, false);
    client_go(&client);
    client_expect(&client, when, SAYS_CONNECTED, 0);
    usleep(100000);
    hang_up();
    assert_resumes(when);
    client_go(&client);
    client_expect(&client, when, PROTOCOL_GRANTED, 0);
    client_expect(&client, when, SAYS_STATUS, 7 << 8);
    client_end(&client, when);
}

/* It does not prove it: the service waits for two seconds. */
static void a_reload_waits_for_a_proof(const char *when) {
    struct client client;

    client_start(&client, PERMITTED, true);
    client_go(&client);
    client_expect(&client, when, SAYS_CONNECTED, 0);
    client_go(&client);
    client_expect(&client, when, PROTOCOL_PROVE, 0);
    hang_up();
    assert_waits(when);
    client_expect(&client, when, PROTOCOL_CALLER_CONFINED, 0);
    client_expect(&client, when, SAYS_STATUS, -1);
    client_end(&client, when);
    assert_resumes(when);
}

static void a_reload_waits_for_a_decision(const char *when) {
    struct ready ready = ready_find();
    struct client client;

    assert_int_equal(kill(ready.session, SIGSTOP), 0);
    client_start(&client, PERMITTED, false);
    client_go(&client);
    client_expect(&client, when, SAYS_CONNECTED, 0);
    client_go(&client);
    usleep(100000);
    hang_up();
    assert_waits(when);
    assert_int_equal(kill(ready.session, SIGCONT), 0);
    client_expect(&client, when, PROTOCOL_GRANTED, 0);
    client_expect(&client, when, SAYS_STATUS, 7 << 8);
    client_end(&client, when);
    assert_resumes(when);
}

/* Sends the request, with the gate stopped for so long that the client is STARTING. */
static struct ready client_begin_starting(struct client *client, const char *when) {
    struct ready ready = ready_find();

    assert_int_equal(kill(ready.gate, SIGSTOP), 0);
    client_start(client, PERMITTED, false);
    client_go(client);
    client_expect(client, when, SAYS_CONNECTED, 0);
    client_go(client);
    usleep(1300000);
    return ready;
}

static void starting_clients_are_handed_over(const char *when) {
    struct client client;
    struct ready ready = client_begin_starting(&client, when);

    hang_up();
    assert_resumes(when);
    assert_int_equal(kill(ready.gate, SIGCONT), 0);
    client_expect(&client, when, PROTOCOL_GRANTED, 0);
    client_expect(&client, when, SAYS_STATUS, 7 << 8);
    client_end(&client, when);
}

static void refused_clients_are_handed_over(const char *when) {
    struct ready ready = ready_find();
    struct client client;

    gate_hold(ready.gate);
    client_start(&client, DENIED, false);
    client_go(&client);
    client_expect(&client, when, SAYS_CONNECTED, 0);
    client_go(&client);
    client_expect(&client, when, PROTOCOL_DENIED, 0);
    usleep(100000);
    hang_up();
    assert_resumes(when);
    gate_release(ready.gate);
    client_expect(&client, when, SAYS_STATUS, -1);
    client_end(&client, when);
}

static void lost_clients_are_handed_over(const char *when) {
    struct client client;
    struct ready ready = client_begin_starting(&client, when);

    gate_hold(ready.gate);
    assert_int_equal(kill(ready.session, SIGKILL), 0);
    client_expect(&client, when, PROTOCOL_STATUS_COUNT, 0);
    client_expect(&client, when, SAYS_STATUS, -1);
    hang_up();
    assert_resumes(when);
    gate_release(ready.gate);
    client_end(&client, when);
}

/* RUNNING is in tests/integration/test-reload.c. */
static void a_reload_in_each_state_of_a_client(void **state) {
    static const struct {
        const char *when;
        void (*play)(const char *when);
    } plays[] = {
        {"CONNECTED", connected_clients_are_handed_over},
        {"PROVING", a_reload_waits_for_a_proof},
        {"DECIDING", a_reload_waits_for_a_decision},
        {"STARTING", starting_clients_are_handed_over},
        {"REFUSED", refused_clients_are_handed_over},
        {"LOST", lost_clients_are_handed_over},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(plays); i++) {
        service_begin_anew();
        assert_served(plays[i].when);
        plays[i].play(plays[i].when);
        assert_served(plays[i].when);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
    print_message("tried: a reload in %zu states of a client\n", BASE_ARRAY_SIZE(plays));
}

static int set_up(void **state) {
    if (harness_set_up(state) < 0)
        return -1;
    policy_write("10-test.conf", "permit any hostname " PERMITTED "\ndeny any\n");
    if ((mkdir(FOLDER, 0700) < 0 && errno != EEXIST) ||
        chown(FOLDER, USER_WITHOUT_NAME->uid, USER_WITHOUT_NAME->gid) < 0)
        return -1;
    sleep(3); /* while the policy is new, the service makes sessions anew */
    return 0;
}

static int tear_down(void **state) {
    if (system("rm -rf " FOLDER) != 0)
        return -1;
    return harness_tear_down(state);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_process_of_the_user_can_access_a_service_that_reloads),
    cmocka_unit_test(the_child_that_checks_has_no_file_of_the_service),
    cmocka_unit_test(who_holds_the_child_that_checks_hinders_nobody),
    cmocka_unit_test(no_signal_hinders_a_reload),
    cmocka_unit_test(a_service_that_is_told_to_end_meanwhile_ends),
    cmocka_unit_test(a_reload_in_each_state_of_a_client),
};

TEST_MAIN_AS_ROOT(tests, set_up, tear_down)
