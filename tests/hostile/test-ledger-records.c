/*
 * Sends the real ledger records that no broker sends, from a process that has a connection as only
 * a broker can: as if a session had been taken over. What may come of it is false lines for its own
 * user, and nothing else: the same ledger goes on, others are granted as fast as ever, each line is
 * one line, and nothing is left when the processes have ended.
 *
 * UTSBROKER_TEST_RECORDS sets the number of random records, UTSBROKER_TEST_SEED selects them.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "tests/hostile/chance.h"
#include "broker/ledger/account.h"
#include "tests/integration/ledger.h"
#include "utsbroker/channel.h"

#define GOOD "good.test" /* what the other user asks for, and no hostile record */

enum {
    RECORDS = 100000,
    PARKING_RECORDS = 20000, /* with descriptors that the ledger cannot close */
    SLEEPERS = 8,
    PIDFDS = SLEEPERS + 5,
    WRONG_FDS = 10,
    LAUNCHES_ALONE = 20,
    THREAD = O_EXCL, /* PIDFD_THREAD, Linux 6.9 */
};

static pid_t manager;
static unsigned n_good; /* launches of the other user */

/* Shared with the hostile process, and with the one that starts the ledger again. */
static struct {
    unsigned n_sent, n_hung_up, n_replies, of[LEDGER_STATUS_COUNT];
    bool is_done;
    pid_t ledger;
    unsigned n_restarts;
} * shared;

/* What the hostile process can pass: its own pidfds first, then others that can be closed. */
struct weapons {
    int pidfds[PIDFDS];
    size_t n_pidfds;
    int wrong[WRONG_FDS]; /* what is no pidfd of a process */
    size_t n_wrong;
};

/* Does what a service manager does: starts the ledger, again if it has ended itself. */
static void manager_run(void) {
    struct test_ledger ledger = {.pid = 0};
    int status;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;; shared->n_restarts++) {
        ledger_start(&ledger);
        shared->ledger = ledger.pid;
        if (waitpid(ledger.pid, &status, 0) != ledger.pid || status != EXIT_FAILURE << 8)
            break;
    }
    _exit(status != 0);
}

static int pidfd_open_of(pid_t pid, unsigned flags) {
    return (int)syscall(SYS_pidfd_open, pid, flags);
}

static pid_t sleeper_start(const struct user *user) {
    pid_t pid = fork();

    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (user != NULL)
            harness_become(user);
        for (;;)
            (void)pause();
    }
    return pid;
}

static pid_t zombie_start(void) {
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    (void)waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    return pid;
}

static void add_pidfd(struct weapons *weapons, pid_t pid) {
    int fd = pidfd_open_of(pid, 0);

    if (fd < 0)
        _exit(210);
    weapons->pidfds[weapons->n_pidfds++] = fd;
}

/* @stranger is a process of another user. */
static void weapons_init_pidfds(struct weapons *weapons, pid_t *sleepers, pid_t stranger) {
    pid_t zombie = zombie_start(), reaped = zombie_start();

    for (size_t i = 0; i < SLEEPERS; i++) {
        sleepers[i] = sleeper_start(NULL);
        add_pidfd(weapons, sleepers[i]);
    }
    add_pidfd(weapons, stranger);
    add_pidfd(weapons, shared->ledger);
    add_pidfd(weapons, getppid());
    add_pidfd(weapons, zombie);
    add_pidfd(weapons, reaped);
    if (waitpid(reaped, NULL, 0) != reaped)
        _exit(211);
}

/* A connected TCP socket whose close(2) waits for a minute: it has data that nobody takes. */
static int socket_lingering(void) {
    const struct linger linger = {.l_onoff = 1, .l_linger = 60};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof(address);
    static char data[1 << 16];

    if (listener < 0 || fd < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 ||
        listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
        connect(fd, (struct sockaddr *)&address, size) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
        _exit(212);
    while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
        ;
    return fd;
}

/* Made before the ledger's namespace is entered: its loopback device is down. */
static void weapons_init_wrong(struct weapons *weapons) {
    int pipe_ends[2], sockets[2], thread = pidfd_open_of(getpid(), THREAD);

    if (pipe2(pipe_ends, O_CLOEXEC) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        _exit(213);
    weapons->wrong[weapons->n_wrong++] = socket_lingering();
    weapons->wrong[weapons->n_wrong++] = memfd_create("wrong", MFD_CLOEXEC);
    weapons->wrong[weapons->n_wrong++] = pipe_ends[0];
    weapons->wrong[weapons->n_wrong++] = sockets[0];
    weapons->wrong[weapons->n_wrong++] = epoll_create1(EPOLL_CLOEXEC);
    weapons->wrong[weapons->n_wrong++] = eventfd(0, EFD_CLOEXEC);
    weapons->wrong[weapons->n_wrong++] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    weapons->wrong[weapons->n_wrong++] = open("/", O_PATH | O_CLOEXEC);
    weapons->wrong[weapons->n_wrong++] = open("/proc/self/fdinfo/1", O_RDONLY | O_CLOEXEC);
    if (thread >= 0) /* older kernels have none */
        weapons->wrong[weapons->n_wrong++] = thread;
}

static void fill_name(char *name, size_t size, uint64_t *random) {
    static const char letters[] = "abc019-. \"\\\n\x01\xff=%s";

    size = chance_below(random, 8) == 0 ? size - 1 : 1 + chance_below(random, 20);
    for (size_t i = 0; i < size; i++)
        name[i] = letters[chance_below(random, sizeof(letters) - 1)];
}

/* A valid event of a random kind, with any bytes in its strings. */
static void event_make(struct ledger_event *event, uint64_t *random) {
    *event = (struct ledger_event){.version = LEDGER_VERSION,
                                   .kind = (uint32_t)chance_below(random, LEDGER_KIND_COUNT),
                                   .mode = (uint32_t)chance_below(random, LEDGER_MODE_COUNT),
                                   .names = PROTOCOL_HOSTNAME,
                                   .rule_key = 1 + chance_below(random, 4),
                                   .rule_line = 1 + (uint32_t)chance_below(random, 3),
                                   .rule_file = "10-test.conf"};
    fill_name(event->hostname, sizeof(event->hostname), random);
    fill_name(event->user, sizeof(event->user), random);
    fill_name(event->command, sizeof(event->command), random);
    if (event->kind == LEDGER_ENTER)
        event->limit = (uint32_t)chance_below(random, 6);
    else
        fill_name(event->reason, sizeof(event->reason), random);
    if (event->kind == LEDGER_FAILURE || event->kind == LEDGER_END)
        event->pid = 1 + (int32_t)chance_below(random, 100);
    if (event->kind == LEDGER_END)
        event->wait_status = (int32_t)chance_next(random);
    if (event->kind == LEDGER_FAILURE)
        event->may_run = (uint32_t)chance_below(random, 2);
}

struct record {
    union {
        struct ledger_event event;
        unsigned char bytes[4 * sizeof(struct ledger_event)];
    };
    size_t size, n_fds;
    int fds[CHANNEL_FDS_MAX];
};

/* Damages about half of the records: bytes changed, too short or long, random; wrong numbers. */
static void record_make(struct record *record, const struct weapons *weapons, bool is_parking,
                        uint64_t *random) {
    memset(record, 0, sizeof(*record));
    event_make(&record->event, random);
    record->size = sizeof(record->event);
    record->n_fds = record->event.kind == LEDGER_ENTER ? 1 : 0;
    switch (chance_below(random, 8)) {
    case 0:
        for (size_t n = 1 + chance_below(random, 8); n > 0; n--)
            record->bytes[chance_below(random, record->size)] = (unsigned char)chance_next(random);
        break;
    case 1:
        record->size = chance_below(random, sizeof(record->bytes) + 1);
        break;
    case 2:
        for (size_t i = chance_below(random, 2) * 8; i < record->size; i++)
            record->bytes[i] = (unsigned char)chance_next(random);
        break;
    case 3:
        record->n_fds = chance_below(random, chance_below(random, 16) == 0 ? 254 : 4);
        break;
    default:
        break;
    }
    for (size_t i = 0; i < record->n_fds; i++)
        record->fds[i] = weapons->pidfds[chance_below(random, weapons->n_pidfds)];
    if (is_parking && record->n_fds > 0)
        record->fds[0] = weapons->wrong[chance_below(random, weapons->n_wrong)];
}

/* Receives what is there, or waits for it. Returns false if the connection has ended. */
static bool hear(int fd, bool may_wait) {
    struct ledger_hello record; /* larger than a reply */
    struct ledger_reply reply;
    ssize_t n = recv(fd, &record, sizeof(record), may_wait ? 0 : MSG_DONTWAIT);

    if (n == sizeof(reply) && ledger_decode_reply(&record, (size_t)n, 0, &reply)) {
        shared->n_replies++;
        shared->of[reply.status]++;
    }
    return n > 0;
}

/* One connection: up to three records, which are heard or not, then an end of some kind. */
static void attack(const struct weapons *weapons, bool is_parking, uint64_t *random) {
    static struct record record;
    size_t n_records = chance_below(random, 8) == 0 ? 1 + chance_below(random, 3) : 1;
    int fd = ledger_connect();

    if (fd < 0)
        return;
    if (chance_below(random, 4) == 0 && !hear(fd, true))
        shared->n_hung_up++;
    for (; n_records > 0; n_records--) {
        record_make(&record, weapons, is_parking, random);
        shared->n_sent++;
        if (channel_send(fd, &record, record.size, record.fds, record.n_fds) < 0)
            break;
        if (chance_below(random, 4) == 0)
            (void)hear(fd, chance_below(random, 4) == 0);
    }
    /* After an enter the ledger waits for more, until this end is shut. */
    if (chance_below(random, 4) == 0 && shutdown(fd, SHUT_WR) == 0)
        while (chance_below(random, 8) != 0 && hear(fd, true))
            ;
    close(fd);
}

/* Ends one sleeper, whose entry the ledger may have, and starts another. */
static void weapons_renew(struct weapons *weapons, pid_t *sleepers, uint64_t *random) {
    size_t i = chance_below(random, SLEEPERS);

    close(weapons->pidfds[i]);
    (void)kill(sleepers[i], SIGKILL);
    if (chance_below(random, 2) == 0)
        (void)waitpid(sleepers[i], NULL, 0);
    sleepers[i] = sleeper_start(NULL);
    weapons->pidfds[i] = pidfd_open_of(sleepers[i], 0);
    if (weapons->pidfds[i] < 0)
        _exit(214);
}

static _Noreturn void run_hostile(unsigned n, pid_t stranger, bool is_parking) {
    uint64_t random = 0x9e3779b97f4a7c15U * harness_number("UTSBROKER_TEST_SEED", 1);
    struct weapons weapons = {.n_pidfds = 0};
    pid_t sleepers[SLEEPERS];

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (is_parking)
        weapons_init_wrong(&weapons);
    ledger_enter_namespace();
    harness_become(USER_WITHOUT_NAME);
    weapons_init_pidfds(&weapons, sleepers, stranger);
    (void)alarm(90);
    while (shared->n_sent < n) {
        attack(&weapons, is_parking, &random);
        if (chance_below(&random, 64) == 0)
            weapons_renew(&weapons, sleepers, &random);
    }
    shared->is_done = true;
    for (;;)
        (void)pause(); /* its processes live until the test has looked */
}

static double launch_once(void) {
    static struct result result;
    const struct run run = {.user = USER_NOBODY, .argv = {UTSRUN_PATH, "-n", GOOD, "true"}};
    double begin = harness_now();

    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    n_good++;
    return harness_now() - begin;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *times, size_t n) {
    qsort(times, n, sizeof(*times), compare);
    return times[n / 2];
}

/* Takes one value of the line, such as uid=54321 or user="x". Returns what follows; NULL: wrong. */
static const char *value_take(const char *at, const char *key, bool is_quoted) {
    size_t length = strlen(key);

    if (at == NULL || at[0] != ' ' || strncmp(at + 1, key, length) != 0 || at[1 + length] != '=')
        return NULL;
    at += length + 2;
    if (*at == '-')
        return at + 1;
    if (!is_quoted)
        return at + strspn(at, "0123456789abcdefghijklmnopqrstuvwxyz");
    if (*at++ != '"')
        return NULL;
    for (; *at != '"'; at++) {
        if (*at < ' ' || *at > '~')
            return NULL;
        if (*at == '\\' && (at[1] != 'x' || strspn(at + 2, "0123456789abcdef") < 2))
            return NULL;
    }
    return at + 1;
}

/* True if @line has the documented form (utsbroker-ledger(8)), and nothing after it. */
static bool line_is_valid(const char *line, unsigned *uidp, char kind[16]) {
    int length = 0;
    const char *at;

    if (sscanf(line, "%*4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ %15[a-z]%n", kind, &length) != 1 ||
        length == 0)
        return false;
    at = value_take(line + length, "user", true);
    if (at == NULL || sscanf(at, " uid=%u", uidp) != 1)
        return false;
    at = value_take(at, "uid", false);
    at = value_take(at, "hostname", true);
    at = value_take(at, "domainname", true);
    at = value_take(at, "rule", true);
    at = value_take(at, "pid", false);
    at = value_take(at, "mode", false);
    at = value_take(at, "command", true);
    if (strcmp(kind, "end") == 0) {
        at = value_take(at, "exit", false);
        at = value_take(at, "signal", false);
    } else if (strcmp(kind, "grant") == 0 || strcmp(kind, "refusal") == 0 ||
               strcmp(kind, "failure") == 0) {
        at = value_take(at, "reason", true);
    } else {
        return false;
    }
    return at != NULL && strcmp(at, "\n") == 0;
}

struct log_counts {
    size_t n_lines, n_grants, n_ends, n_good_grants, n_good_ends;
};

/* Checks each line: its form, and that it is the sender's own or of a launch of the other user. */
static struct log_counts log_check(void) {
    static char line[8192];
    struct log_counts counts = {.n_lines = 0};
    FILE *file = fopen(LEDGER_TEST_LOG, "re");

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        bool is_good = strstr(line, " hostname=\"" GOOD "\" ") != NULL;
        char kind[16];
        unsigned uid;

        if (!line_is_valid(line, &uid, kind))
            fail_msg("a line that is none: %s", line);
        if (uid != (is_good ? USER_NOBODY->uid : USER_WITHOUT_NAME->uid))
            fail_msg("a line of another user: %s", line);
        counts.n_lines++;
        counts.n_grants += strcmp(kind, "grant") == 0;
        counts.n_ends += strcmp(kind, "end") == 0;
        counts.n_good_grants += is_good && strcmp(kind, "grant") == 0;
        counts.n_good_ends += is_good && strcmp(kind, "end") == 0;
    }
    fclose(file);
    return counts;
}

static bool is_nothing_alive(void *context) {
    static struct live_command live[64];

    (void)context;
    return ledger_read_live(live, BASE_ARRAY_SIZE(live)) == 0;
}

static bool has_descriptors(void *context) {
    return harness_count_descriptors(shared->ledger) <= *(const size_t *)context;
}

static void hostile_end(pid_t hostile) {
    assert_int_equal(kill(hostile, SIGKILL), 0);
    assert_int_equal(waitpid(hostile, NULL, 0), hostile);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    assert_true(harness_wait_for(is_nothing_alive, NULL));
}

struct outcome {
    unsigned n_launches;
    double alone, beside, longest;
};

/* Sends @n records while another user launches commands. */
static struct outcome send_records(unsigned n, bool is_parking) {
    static double times[100000];
    struct outcome outcome = {.n_launches = 0};
    pid_t stranger = sleeper_start(USER_NOBODY), hostile;

    shared->n_sent = shared->n_hung_up = shared->n_replies = shared->n_restarts = 0;
    memset(shared->of, 0, sizeof(shared->of));
    shared->is_done = false;
    for (size_t i = 0; i < LAUNCHES_ALONE; i++)
        times[i] = launch_once();
    outcome.alone = median(times, LAUNCHES_ALONE);
    hostile = fork();
    if (hostile == 0)
        run_hostile(n, stranger, is_parking);
    while (!shared->is_done && outcome.n_launches < BASE_ARRAY_SIZE(times)) {
        if (waitpid(hostile, NULL, WNOHANG) != 0)
            fail_msg("the hostile process has ended");
        times[outcome.n_launches++] = launch_once();
    }
    outcome.beside = median(times, outcome.n_launches);
    outcome.longest = times[outcome.n_launches - 1];
    assert_int_equal(kill(stranger, SIGKILL), 0);
    assert_int_equal(waitpid(stranger, NULL, 0), stranger);
    hostile_end(hostile);
    return outcome;
}

static void outcome_print(const char *what, const struct outcome *outcome,
                          const struct log_counts *counts) {
    print_message(
        "tried: %s: %u records; %u replies: %u entered, %u limits, %u not logged, %u bad; "
        "%u hung up; log: %zu lines, %zu grants, %zu ends\n",
        what, shared->n_sent, shared->n_replies, shared->of[LEDGER_ENTERED],
        shared->of[LEDGER_LIMIT_REACHED], shared->of[LEDGER_NOT_LOGGED],
        shared->of[LEDGER_BAD_EVENT], shared->n_hung_up, counts->n_lines, counts->n_grants,
        counts->n_ends);
    print_message(
        "  another user: %u launches, median %.1f ms, alone %.1f ms, longest %.1f ms; the "
        "ledger was started again %u times\n",
        outcome->n_launches, outcome->beside * 1e3, outcome->alone * 1e3, outcome->longest * 1e3,
        shared->n_restarts);
}

static void assert_outcome(const struct outcome *outcome, const struct log_counts *counts) {
    assert_int_equal(counts->n_good_grants, n_good);
    if (outcome->beside > outcome->alone * 4 + 0.05)
        fail_msg("another user's launch took %.3f s, %.3f alone", outcome->beside, outcome->alone);
}

static bool are_ends_logged(void *context) {
    (void)context;
    return log_check().n_good_ends == n_good;
}

static void hostile_records_change_nothing(void **state) {
    unsigned n = harness_number("UTSBROKER_TEST_RECORDS", RECORDS);
    size_t n_descriptors;
    struct outcome outcome;
    struct log_counts counts;
    pid_t before = shared->ledger;

    (void)state;
    (void)launch_once();
    assert_true(harness_wait_for(is_nothing_alive, NULL));
    n_descriptors = harness_count_descriptors(shared->ledger);
    outcome = send_records(n, false);
    assert_true(harness_wait_for(are_ends_logged, NULL));
    counts = log_check();
    outcome_print("hostile records", &outcome, &counts);
    assert_outcome(&outcome, &counts);
    assert_int_equal(shared->n_restarts, 0);
    assert_int_equal(shared->ledger, before);
    assert_true(harness_wait_for(has_descriptors, &n_descriptors));
    assert_true(shared->of[LEDGER_ENTERED] > 0 && shared->of[LEDGER_BAD_EVENT] > 0);
}

/* What cannot be closed is kept; who sends too much of it is not served any more. */
static void descriptors_that_cannot_be_closed_do_not_stop_it(void **state) {
    size_t n_descriptors;
    struct outcome outcome;
    struct log_counts counts;

    (void)state;
    ledger_clear_log();
    n_good = 0;
    outcome = send_records(PARKING_RECORDS, true);
    n_descriptors = ACCOUNT_PARKED_MAX + PARKING_RECORDS + 64; /* and a connection each */
    assert_true(harness_wait_for(has_descriptors, &n_descriptors));
    assert_true(harness_wait_for(are_ends_logged, NULL));
    counts = log_check();
    outcome_print("records with wrong descriptors", &outcome, &counts);
    assert_outcome(&outcome, &counts);
    assert_int_equal(shared->n_restarts, 0);
}

static bool is_ledger_there(void *context) {
    (void)context;
    return access(LEDGER_LIVE_PATH, F_OK) == 0;
}

static int set_up(void **state) {
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || harness_mount_dev() < 0 || ledger_set_up() < 0)
        return -1;
    manager = fork();
    if (manager == 0)
        manager_run();
    if (!harness_wait_for(is_ledger_there, NULL) || harness_set_up(state) < 0)
        return -1;
    policy_write("10-test.conf", "permit any hostname " GOOD "\n");
    return 0;
}

static int tear_down(void **state) {
    int r = harness_tear_down(state), status;

    assert_int_equal(kill(shared->ledger, SIGTERM), 0);
    assert_int_equal(waitpid(manager, &status, 0), manager);
    assert_int_equal(status, 0);
    return r;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(hostile_records_change_nothing),
    cmocka_unit_test(descriptors_that_cannot_be_closed_do_not_stop_it),
};

TEST_MAIN_AS_ROOT(tests, set_up, tear_down)
