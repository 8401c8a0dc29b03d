/*
 * The service with sessions that this file plays: what it does when one says AGAIN, and whom it
 * tells how a command ended. No session of broker/session runs here.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "broker/privilege.h"
#include "broker/service/service.h"
#include "broker/service/setup.h"
#include "broker/service/witness.h"
#include "broker/session/session.h"
#include "tests/test.h"
#include "utsbroker/channel.h"
#include "utsbroker/ledger.h"
#include "utsbroker/protocol.h"

/* What the sessions do, each one letter for the next client. */
static struct {
    char acts[64];
    unsigned n_acts; /* done */
    bool may_go_on;  /* for the act w */
    bool has_no_pipe;
    int peer; /* what the last session was told about its client */
    pid_t gates[64];
} * play;

static char path[] = RUN_FOLDER "/again.sock";
static pid_t service_pid;
static int ledger = -1;

static void say(int control, enum session_word word, uint32_t value) {
    const struct session_message message = {.word = word, .value = value};

    (void)channel_send(control, &message, sizeof(message), NULL, 0);
}

/* A gate, a child of the service. It ends with 7 when it gets SIGUSR1. */
static pid_t gate_make(void) {
    struct clone_args arguments = {.flags = CLONE_PARENT};
    sigset_t set;
    int number;
    pid_t pid;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* a real gate ends with its session */
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    (void)sigwait(&set, &number);
    _exit(7);
}

static void reply(int channel, enum protocol_status status, pid_t pid) {
    const struct protocol_reply reply = {.version = PROTOCOL_VERSION, .status = status, .pid = pid};

    (void)channel_send(channel, &reply, sizeof(reply), NULL, 0);
}

/* Does one act for a client. */
static void act(char what, int control, int channel, pid_t gate) {
    char record[16];
    struct channel_fds fds;
    size_t size;

    for (int i = 0; what == 'w' && !*(volatile bool *)&play->may_go_on && i < 500; i++)
        usleep(10000);
    if (what == 'a' || what == 'w') { /* it has lost the ledger; it waits for its end */
        say(control, SESSION_AGAIN, 0);
        for (;;)
            (void)pause();
    }
    (void)channel_receive(channel, record, sizeof(record), &size, &fds);
    if (what == 'r') {
        reply(channel, PROTOCOL_DENIED, 0);
        return;
    }
    say(control, SESSION_DECIDED, SESSION_WANTS_STATUS);
    if (what == 'd') { /* too late for it */
        say(control, SESSION_AGAIN, 0);
        for (;;)
            (void)pause();
    }
    if (what == 'l') /* it dies: nobody knows what became of the gate */
        _exit(1);
    reply(channel, PROTOCOL_GRANTED, gate);
    say(control, SESSION_GRANTED, what == 'q' ? 0 : SESSION_WANTS_STATUS);
}

/* In place of broker/session/session.c. */
_Noreturn void session_run(const struct session_setup *setup) {
    int control = setup->service->control;
    struct session_client client;
    struct channel_fds fds;
    size_t size = 0;
    unsigned n;
    pid_t gate = gate_make();

    say(control, SESSION_HAS_GATE, (uint32_t)gate);
    if (channel_receive(control, &client, sizeof(client), &size, &fds) == 0 && size > 0) {
        n = play->n_acts++;
        play->peer = client.peer;
        play->gates[n] = gate;
        act(play->acts[n], control, fds.fds[0], gate);
    }
    _exit(0);
}

int __real_pipe2(int ends[2], int flags);
int __wrap_pipe2(int ends[2], int flags);

int __wrap_pipe2(int ends[2], int flags) {
    if (!play->has_no_pipe)
        return __real_pipe2(ends, flags);
    errno = EMFILE;
    return -1;
}

static void begin_play(const char *acts) {
    memset(play, 0, sizeof(*play));
    (void)snprintf(play->acts, sizeof(play->acts), "%s", acts);
}

static int connected(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, path, sizeof(path));
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static int asked(void) {
    int fd = connected();

    assert_int_equal(channel_send(fd, "request", 7, NULL, 0), 0);
    return fd;
}

/* Receives a record from the service; @size 0: the connection must end. */
static void expect(int fd, void *record, size_t size) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    struct channel_fds fds;
    size_t got = 0;

    assert_int_equal(poll(&ready, 1, 5000), 1);
    assert_int_equal(channel_receive_surely(fd, record, size > 0 ? size : 1, &got, &fds), 0);
    assert_int_equal(got, size);
}

static void expect_reply(int fd, enum protocol_status status, int error) {
    struct protocol_reply record;

    expect(fd, &record, sizeof(record));
    assert_int_equal(record.status, status);
    assert_int_equal(record.error, error);
}

static void expect_end(int fd) {
    char byte;

    expect(fd, &byte, 0);
    close(fd);
}

static bool is_gone(pid_t pid) {
    for (int i = 0; i < 300 && kill(pid, 0) == 0; i++)
        usleep(10000);
    return kill(pid, 0) < 0 && errno == ESRCH;
}

/* Another session serves the client, and nothing is left of the first; at most two times. */
static void another_session_serves_the_client(void **state) {
    static const struct {
        const char *acts;
        enum protocol_status status;
        int error;
        unsigned n;
    } cases[] = {
        {"r", PROTOCOL_DENIED, 0, 1},
        {"ar", PROTOCOL_DENIED, 0, 2},
        {"aar", PROTOCOL_DENIED, 0, 3},
        {"aaar", PROTOCOL_NOT_LOGGED, EPIPE, 3},
    };

    (void)state;
    for (int i = 0; i < 5; i++)
        for (size_t j = 0; j < BASE_ARRAY_SIZE(cases); j++) {
            int fd;

            begin_play(cases[j].acts);
            fd = asked();
            expect_reply(fd, cases[j].status, cases[j].error);
            expect_end(fd);
            assert_int_equal(play->n_acts, cases[j].n);
            for (unsigned k = 0; k < cases[j].n; k++)
                assert_true(is_gone(play->gates[k]));
        }
}

/* Sets no_new_privs after the service has looked, and before it looks again. */
static _Noreturn void be_changing_caller(void) {
    struct protocol_reply record = {.status = PROTOCOL_STATUS_COUNT};
    struct channel_fds fds;
    size_t size;
    int fd;

    if (privilege_drop_all() < 0) /* the service must be able to look at it */
        _exit(101);
    fd = asked();
    for (int i = 0; *(volatile unsigned *)&play->n_acts == 0 && i < 500; i++)
        usleep(10000);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(100);
    play->may_go_on = true;
    (void)channel_receive_surely(fd, &record, sizeof(record), &size, &fds);
    _exit((int)record.status);
}

/* A client that has had a session is not asked for a proof: its gate is known already. */
static void a_client_of_a_session_proves_nothing(void **state) {
    int status;
    pid_t pid;

    (void)state;
    begin_play("wr");
    pid = fork();
    if (pid == 0)
        be_changing_caller();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, PROTOCOL_DENIED << 8);
    assert_int_equal(play->n_acts, 2);
    assert_true(is_gone(play->gates[0]));
}

/* If no witness can be made, the session is told why, and not that the caller is confined. */
static void a_shortage_is_no_confinement(void **state) {
    int status;
    pid_t pid;

    (void)state;
    begin_play("r");
    play->has_no_pipe = true;
    pid = fork();
    if (pid == 0) {
        if (privilege_drop_all() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
            _exit(101);
        expect_reply(asked(), PROTOCOL_DENIED, 0);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(play->peer, -EMFILE);
}

enum { PROVERS = 32 /* so many sessions work at the same time */ };

/* Has clients that prove nothing; says so by @channel. Ends with 0 if none is refused by then. */
static _Noreturn void be_silent_provers(int channel) {
    struct pollfd first = {.events = POLLIN};
    struct protocol_reply record;
    char byte = 0;

    if (privilege_drop_all() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(101);
    for (int i = 0; i < PROVERS; i++) {
        struct channel_fds fds;
        size_t size;
        int fd = asked();

        if (i == 0)
            first.fd = fd;
        if (channel_receive_surely(fd, &record, sizeof(record), &size, &fds) < 0 ||
            record.status != PROTOCOL_PROVE)
            _exit(102);
    }
    if (write(channel, &byte, 1) != 1 || read(channel, &byte, 1) != 1)
        _exit(103);
    _exit(poll(&first, 1, 0) == 0 ? 0 : 1);
}

/* Returns true if a client is served while others still have time for their proof. */
static bool is_served_meanwhile(void) {
    int ends[2], fd, status;
    char byte;
    pid_t pid;

    begin_play("rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr");
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    pid = fork();
    if (pid == 0)
        be_silent_provers(ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    fd = asked();
    expect_reply(fd, PROTOCOL_DENIED, 0);
    expect_end(fd);
    assert_int_equal(write(ends[0], &byte, 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(ends[0]);
    assert_true(status == 0 || status == 1 << 8);
    return status == 0;
}

static void who_proves_nothing_delays_nobody(void **state) {
    bool is_served = false;

    (void)state;
    /* A busy machine may need more than the time of a proof for all this. */
    for (int i = 0; i < 5 && !is_served; i++)
        is_served = is_served_meanwhile();
    assert_true(is_served);
}

static void expect_event(pid_t pid, int wait_status) {
    struct pollfd ready = {.fd = ledger, .events = POLLIN};
    struct ledger_hello hello = {.version = LEDGER_VERSION, .wants_status = 1};
    struct ledger_event record, event;
    struct channel_fds fds;
    size_t size = 0;
    int link;

    assert_int_equal(poll(&ready, 1, 5000), 1);
    link = accept4(ledger, NULL, NULL, SOCK_CLOEXEC);
    assert_true(link >= 0);
    assert_int_equal(channel_send(link, &hello, sizeof(hello), NULL, 0), 0);
    assert_int_equal(channel_receive(link, &record, sizeof(record), &size, &fds), 0);
    assert_true(ledger_decode_event(&record, size, fds.n_fds, &event));
    assert_int_equal(event.kind, LEDGER_END);
    assert_int_equal(event.mode, LEDGER_SERVICE);
    assert_int_equal(event.pid, pid);
    assert_int_equal(event.wait_status, wait_status);
    close(link);
}

/* A session that has decided cannot take it back. */
static void again_comes_before_the_decision(void **state) {
    int fd;

    (void)state;
    begin_play("dr");
    fd = asked();
    expect_end(fd);
    assert_true(is_gone(play->gates[0]));
    assert_int_equal(play->n_acts, 1);
    expect_event(play->gates[0], SIGKILL); /* it may have run */
    begin_play("rr");                      /* and the service goes on */
    fd = asked();
    expect_reply(fd, PROTOCOL_DENIED, 0);
    expect_end(fd);
}

/* Starts a command and ends it. Returns its pid. */
static pid_t run_command(const char *acts) {
    struct protocol_notice notice;
    int fd;

    begin_play(acts);
    fd = asked();
    expect_reply(fd, PROTOCOL_GRANTED, 0);
    assert_int_equal(kill(play->gates[0], SIGUSR1), 0);
    expect(fd, &notice, sizeof(notice));
    assert_int_equal(notice.wait_status, 7 << 8);
    expect_end(fd);
    return play->gates[0];
}

static void assert_no_event(void) {
    struct pollfd ready = {.fd = ledger, .events = POLLIN};

    assert_int_equal(poll(&ready, 1, 300), 0);
}

/* The capability is effective no longer than it takes to connect. */
static void assert_no_capability_is_effective(void) {
    char name[64], line[128];
    bool is_none = false;
    FILE *file;

    (void)snprintf(name, sizeof(name), "/proc/%d/status", (int)service_pid);
    file = fopen(name, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        is_none |= strcmp(line, "CapEff:\t0000000000000000\n") == 0;
    fclose(file);
    assert_true(is_none);
}

static void the_ledger_is_told_how_a_command_ended(void **state) {
    (void)state;
    for (int i = 0; i < 50; i++)
        expect_event(run_command("g"), 7 << 8);
    assert_no_capability_is_effective();
    (void)run_command("q"); /* it did not ask for it */
    assert_no_event();
    begin_play("l");
    expect_end(asked());
    expect_event(play->gates[0], SIGKILL);
}

/* A ledger that accepts nothing, and none: nobody waits for it. */
static void nobody_waits_for_the_ledger(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++)
        (void)run_command("g");
    close(ledger);
    (void)run_command("g");
    assert_int_equal(umount2(LEDGER_NAMESPACE_PATH, MNT_DETACH), 0);
    (void)run_command("g"); /* an ordinary file: the capability is of no use */
    assert_int_equal(unlink(LEDGER_NAMESPACE_PATH), 0);
    (void)run_command("g");
    assert_no_capability_is_effective();
}

/* A ledger in a network namespace of its own, in this process. */
static void ledger_start(void) {
    struct sockaddr_un address;
    const socklen_t size = ledger_address(&address);
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int file = open(LEDGER_NAMESPACE_PATH, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(home >= 0 && file >= 0);
    close(file);
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    assert_int_equal(mount("/proc/thread-self/ns/net", LEDGER_NAMESPACE_PATH, NULL, MS_BIND, NULL),
                     0);
    ledger = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(ledger, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(ledger, 4), 0);
    assert_int_equal(setns(home, CLONE_NEWNET), 0);
    close(home);
}

static int set_up(void **state) {
    const char *const folders[] = {RUN_FOLDER "/policy"};
    struct service_setup setup = {
        .listener = LISTENER_NULL, .policy_folders = folders, .n_policy_folders = 1};

    (void)state;
    /* A mount namespace of its own: the run folder may be another's. */
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    (void)mkdir(RUN_FOLDER, 0755);
    if (mount("tmpfs", RUN_FOLDER, "tmpfs", 0, "mode=0755") < 0 || mkdir(folders[0], 0755) < 0)
        return -1;
    play = mmap(NULL, sizeof(*play), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (play == MAP_FAILED || listener_bind(&setup.listener, path) != 0)
        return -1;
    ledger_start();
    service_pid = fork();
    if (service_pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        close(ledger);
        setup_privilege();
        service_run(&setup);
    }
    close(setup.listener.fd);
    return 0;
}

static int tear_down(void **state) {
    int status;

    (void)state;
    if (service_pid <= 0) /* the set-up failed; kill(0) is everybody in this process group */
        return -1;
    if (kill(service_pid, SIGTERM) < 0 || waitpid(service_pid, &status, 0) != service_pid)
        return -1;
    return status;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(another_session_serves_the_client),
    cmocka_unit_test(a_client_of_a_session_proves_nothing),
    cmocka_unit_test(a_shortage_is_no_confinement),
    cmocka_unit_test(who_proves_nothing_delays_nobody),
    cmocka_unit_test(again_comes_before_the_decision),
    cmocka_unit_test(the_ledger_is_told_how_a_command_ended),
    cmocka_unit_test(nobody_waits_for_the_ledger),
};

/* With arguments it is the witness, which the service executes from its own file. */
int main(int argc, char **argv) {
    int status;

    if (argc > 2)
        witness_run(atoi(argv[2]));
    if (!test_has_root(BASE_ARRAY_SIZE(tests), &status))
        return status;
    cmocka_set_test_filter(getenv("UTSBROKER_TEST_FILTER"));
    return cmocka_run_group_tests_name(__FILE__, tests, set_up, tear_down);
}
