/*
 * One user at the ledger's bounds: as many entries and connections as a user may have. One more is
 * refused with the numbers, other users' launches go on, the ledger needs little memory for each
 * entry, and all of it is given back when the processes end.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "broker/ledger/account.h"
#include "tests/integration/ledger.h"
#include "utsbroker/channel.h"

enum {
    FIRST = 1000, /* entries, where the memory is measured first */
    LAUNCHES = 20,
    STACK_SIZE = 8192,
    ENTRY_BYTES_MAX = 1024,
    LIVE_SIZE_MAX = 128 << 10, /* of the file, when nothing lives */
};

static struct test_ledger ledger;

/* What the crowd, many processes of one user, is told to do, and what it says of that. */
struct order {
    unsigned n_entries, n_connections;
};

struct report {
    unsigned n_entered, n_connected;
    struct ledger_reply reply; /* the last */
};

static struct { /* the crowd's first process */
    pid_t pid;
    int channel;
} crowd;

static int crowd_sleep(void *argument) {
    (void)argument;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;)
        (void)pause();
    return 0;
}

/* A process that shares the memory of its parent, so that thousands of them cost little. */
static pid_t crowd_make_process(void) {
    char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

    return stack == MAP_FAILED ? -1
                               : clone(crowd_sleep, stack + STACK_SIZE, CLONE_VM | SIGCHLD, NULL);
}

/* Makes a connection, on which the hello has come. Returns -1 if the ledger hangs up. */
static int crowd_connect(void) {
    struct ledger_hello hello;
    int fd = ledger_connect();

    if (fd >= 0 && recv(fd, &hello, sizeof(hello), 0) == sizeof(hello))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Makes a process, and an entry for it. */
static bool crowd_enter(struct ledger_reply *reply) {
    const struct ledger_event event = {.version = LEDGER_VERSION,
                                       .kind = LEDGER_ENTER,
                                       .names = PROTOCOL_HOSTNAME,
                                       .rule_key = 77,
                                       .rule_line = 1,
                                       .hostname = "build-0123456789.test",
                                       .user = "a-user-name",
                                       .rule_file = "10-crowd.conf",
                                       .command = "/usr/bin/some-command"};
    pid_t pid = crowd_make_process();
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1, fd = crowd_connect();

    if (pidfd < 0 || fd < 0 || channel_send(fd, &event, sizeof(event), &pidfd, 1) < 0 ||
        recv(fd, reply, sizeof(*reply), 0) != sizeof(*reply))
        _exit(210);
    close(fd);
    close(pidfd);
    return reply->status == LEDGER_ENTERED;
}

static _Noreturn void crowd_run(int channel) {
    struct order order;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    ledger_enter_namespace();
    harness_become(USER_WITHOUT_NAME);
    while (recv(channel, &order, sizeof(order), 0) == sizeof(order)) {
        struct report report = {.n_entered = 0};

        for (unsigned i = 0; i < order.n_entries; i++)
            report.n_entered += crowd_enter(&report.reply);
        for (unsigned i = 0; i < order.n_connections; i++)
            report.n_connected += crowd_connect() >= 0; /* which stays open, and silent */
        if (send(channel, &report, sizeof(report), 0) != sizeof(report))
            break;
    }
    _exit(211);
}

static void crowd_start(void) {
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    crowd.pid = fork();
    if (crowd.pid == 0) {
        close(ends[0]);
        crowd_run(ends[1]);
    }
    close(ends[1]);
    crowd.channel = ends[0];
}

static struct report crowd_tell(unsigned n_entries, unsigned n_connections) {
    const struct order order = {n_entries, n_connections};
    struct report report;

    assert_int_equal(send(crowd.channel, &order, sizeof(order), 0), sizeof(order));
    assert_int_equal(recv(crowd.channel, &report, sizeof(report), 0), sizeof(report));
    return report;
}

static const struct result *launch(const struct user *user) {
    static struct result result;
    const struct run run = {.user = user,
                            .argv = {UTSRUN_PATH, "--via", "direct", "-n", "good.test", "true"}};

    harness_run(&run, &result);
    return &result;
}

/* The time of another user's launches, and of the longest. */
static double launch_some(double *longestp) {
    double begin = harness_now(), longest = 0;

    for (int i = 0; i < LAUNCHES; i++) {
        double one = harness_now();

        harness_assert_exit(launch(USER_NOBODY), 0);
        one = harness_now() - one;
        longest = one > longest ? one : longest;
    }
    *longestp = longest;
    return (harness_now() - begin) / LAUNCHES;
}

static void assert_user_is_refused(void) {
    const struct result *result = launch(USER_WITHOUT_NAME);

    harness_assert_exit(result, 125);
    if (strstr(result->errors, "limit reached: you have 4096 of 4096 running commands") == NULL)
        fail_msg("not the bound, but: %s", result->errors);
}

/* Bytes that the ledger has in memory. */
static long ledger_memory(void) {
    return atol(harness_status_line(ledger.pid, "VmRSS")) * 1024;
}

static long memory_for_each(long before, unsigned n) {
    long each = (ledger_memory() - before) / (long)n;

    print_message("memory: %.0f bytes for each of %u entries\n", (double)each, n);
    return each;
}

static bool is_nothing_alive(void *context) {
    static struct live_command live[8];

    (void)context;
    return ledger_read_live(live, BASE_ARRAY_SIZE(live)) == 0;
}

static bool has_descriptors(void *context) {
    return harness_count_descriptors(ledger.pid) <= *(const size_t *)context;
}

/* Ends all processes of the crowd while another user launches commands. */
static void crowd_end(size_t n_descriptors) {
    double each, longest;
    struct stat status;

    assert_int_equal(kill(crowd.pid, SIGKILL), 0);
    assert_int_equal(waitpid(crowd.pid, NULL, 0), crowd.pid);
    close(crowd.channel);
    each = launch_some(&longest);
    print_message("while they end: a launch takes %.1f ms, the longest %.1f ms\n", each * 1e3,
                  longest * 1e3);
    assert_true(longest < 4);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    assert_true(harness_wait_for(is_nothing_alive, NULL));
    assert_true(harness_wait_for(has_descriptors, &n_descriptors));
    assert_int_equal(stat(LEDGER_LIVE_PATH, &status), 0);
    test_assert_in_range(status.st_size, 1, LIVE_SIZE_MAX);
    harness_assert_exit(launch(USER_WITHOUT_NAME), 0);
}

/* The next ledger counts what lives, and is soon there for the others. */
static void restart_with_all_alive(void) {
    double begin = harness_now();

    ledger_kill(&ledger, SIGKILL);
    ledger_start(&ledger);
    assert_user_is_refused();
    print_message("a ledger that starts again answers after %.0f ms\n",
                  (harness_now() - begin) * 1e3);
    assert_true(harness_now() - begin < 4);
}

static void a_user_at_every_bound_delays_nobody_else(void **state) {
    double alone, beside, longest;
    size_t n_descriptors;
    struct report report;
    long memory, first;

    (void)state;
    alone = launch_some(&longest);
    assert_true(harness_wait_for(is_nothing_alive, NULL));
    n_descriptors = harness_count_descriptors(ledger.pid);
    memory = ledger_memory();
    crowd_start();
    assert_int_equal(crowd_tell(FIRST, 0).n_entered, FIRST);
    first = memory_for_each(memory, FIRST);
    report = crowd_tell(ACCOUNT_ENTRIES_MAX - FIRST, 0);
    assert_int_equal(report.n_entered, ACCOUNT_ENTRIES_MAX - FIRST);
    assert_true(memory_for_each(memory, ACCOUNT_ENTRIES_MAX) <= ENTRY_BYTES_MAX);
    assert_true(first <= ENTRY_BYTES_MAX);
    report = crowd_tell(1, 0);
    assert_int_equal(report.n_entered, 0);
    assert_int_equal(report.reply.status, LEDGER_TOO_MANY);
    assert_int_equal(report.reply.n_live, ACCOUNT_ENTRIES_MAX);
    assert_int_equal(report.reply.limit, ACCOUNT_ENTRIES_MAX);
    assert_user_is_refused();
    restart_with_all_alive();
    test_assert_in_range(crowd_tell(0, 2 * ACCOUNT_CONNECTIONS_MAX).n_connected,
                         ACCOUNT_CONNECTIONS_MAX - 2, ACCOUNT_CONNECTIONS_MAX);
    beside = launch_some(&longest);
    print_message("another user's launch takes %.1f ms, alone %.1f ms\n", beside * 1e3,
                  alone * 1e3);
    if (beside > alone * 2 + 0.05)
        fail_msg("another user's launch takes %.3f s, alone %.3f s", beside, alone);
    crowd_end(n_descriptors);
}

static int set_up(void **state) {
    if (harness_mount_dev() < 0 || ledger_set_up() < 0)
        return -1;
    ledger_start(&ledger);
    if (harness_set_up(state) < 0)
        return -1;
    policy_write("10-test.conf", "permit any hostname *.test\n");
    return 0;
}

static int tear_down(void **state) {
    int r = harness_tear_down(state);

    ledger_kill(&ledger, SIGTERM);
    return r;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_user_at_every_bound_delays_nobody_else),
};

TEST_MAIN_AS_ROOT(tests, set_up, tear_down)
