/* The broker alone: requests that no launcher sends, and its replies. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "broker/session/session.h"
#include "launcher/options.h"
#include "launcher/request.h"
#include "tests/integration/harness.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

enum { SESSION_FD = 3 };

/* A broker, started as utsrun starts it, with the changes that a test needs. */
struct broker {
    pid_t pid;
    int channel;
};

/* Runs in the next broker's process right before the execve(2), as the user. */
static void (*broker_prepare)(void);

static void broker_start(struct broker *broker, const struct user *user,
                         const char *policy_folder) {
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    broker->pid = fork();
    if (broker->pid == 0) {
        char *argv[] = {"utsbroker",
                        "--session-fd",
                        "3",
                        policy_folder != NULL ? "--policy-dir" : NULL,
                        (char *)policy_folder,
                        NULL};
        char *environment[] = {NULL};

        if (ends[1] == SESSION_FD)
            (void)fcntl(SESSION_FD, F_SETFD, 0);
        else if (dup2(ends[1], SESSION_FD) < 0)
            _exit(201);
        if (user != NULL)
            harness_become(user);
        if (broker_prepare != NULL)
            broker_prepare();
        (void)execve(BROKER_PATH, argv, environment);
        _exit(202);
    }
    close(ends[1]);
    broker->channel = ends[0];
}

static void broker_end(struct broker *broker, int code) {
    int status;

    base_close_fd(&broker->channel);
    assert_int_equal(waitpid(broker->pid, &status, 0), broker->pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        fail_msg("the broker's wait status is 0x%x", status);
}

static struct protocol_request good_request(void) {
    return (struct protocol_request){
        .version = PROTOCOL_VERSION, .names = PROTOCOL_HOSTNAME, .hostname = "x.test"};
}

static int good_launch_of(char *const *command) {
    char *environment[] = {"PATH=/usr/bin:/bin", NULL};
    struct options options = {.hostname = "x.test", .command = (char **)command};
    int fd = -1;

    assert_int_equal(request_write_launch(&fd, &options, environment, &(struct request_place){0}),
                     0);
    return fd;
}

static int good_launch(void) {
    static char *const command[] = {"true", NULL};

    return good_launch_of(command);
}

static struct protocol_reply reply_of(const struct broker *broker) {
    struct protocol_reply record, reply = {.version = 0};
    struct channel_fds fds = {.n_fds = 0};
    size_t size = 0;

    assert_int_equal(channel_receive(broker->channel, &record, sizeof(record), &size, &fds), 0);
    assert_int_equal(size, sizeof(record));
    assert_int_equal(protocol_decode_reply(&record, size, fds.n_fds, &reply), 0);
    channel_fds_deinit(&fds);
    return reply;
}

static void limit_processes(void) {
    const struct rlimit limit = {1, 1};

    (void)setrlimit(RLIMIT_NPROC, &limit);
}

/* The gate is this test's child, as the command would be. */
static void reap_all(void) {
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

static void malformed_records_are_refused_and_no_process_is_left(void **state) {
    static const struct {
        const char *what;
        size_t size, n_fds;
        uint32_t version, names;
        enum protocol_status status;
    } cases[] = {
        {"a good one", sizeof(struct protocol_request), 1, PROTOCOL_VERSION, 1, PROTOCOL_GRANTED},
        {"one byte", 1, 1, PROTOCOL_VERSION, 1, PROTOCOL_BAD_REQUEST},
        {"a byte short", sizeof(struct protocol_request) - 1, 1, PROTOCOL_VERSION, 1,
         PROTOCOL_BAD_REQUEST},
        {"a byte long", sizeof(struct protocol_request) + 1, 1, PROTOCOL_VERSION, 1,
         PROTOCOL_BAD_REQUEST},
        {"twice as long", 2 * sizeof(struct protocol_request), 1, PROTOCOL_VERSION, 1,
         PROTOCOL_BAD_REQUEST},
        {"no descriptor", sizeof(struct protocol_request), 0, PROTOCOL_VERSION, 1,
         PROTOCOL_BAD_REQUEST},
        {"two descriptors", sizeof(struct protocol_request), 2, PROTOCOL_VERSION, 1,
         PROTOCOL_BAD_REQUEST},
        {"eight descriptors", sizeof(struct protocol_request), 8, PROTOCOL_VERSION, 1,
         PROTOCOL_BAD_REQUEST},
        {"version 1", sizeof(struct protocol_request), 1, 1, 1, PROTOCOL_BAD_VERSION},
        {"no name", sizeof(struct protocol_request), 1, PROTOCOL_VERSION, 0, PROTOCOL_BAD_REQUEST},
        {"a name that is not there", sizeof(struct protocol_request), 1, PROTOCOL_VERSION, 3,
         PROTOCOL_BAD_REQUEST},
        {"an unknown flag", sizeof(struct protocol_request), 1, PROTOCOL_VERSION, 5,
         PROTOCOL_BAD_REQUEST},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct protocol_request records[2] = {good_request()};
        CLEANUP_FD int launch = good_launch();
        const int fds[8] = {launch, launch, launch, launch, launch, launch, launch, launch};
        struct broker broker;
        struct protocol_reply reply;

        records[0].version = cases[i].version;
        records[0].names = cases[i].names;
        broker_start(&broker, USER_WITHOUT_NAME, NULL);
        assert_int_equal(channel_send(broker.channel, records, cases[i].size, fds, cases[i].n_fds),
                         0);
        reply = reply_of(&broker);
        if (reply.status != cases[i].status)
            fail_msg("%s: status %u", cases[i].what, reply.status);
        broker_end(&broker, cases[i].status == PROTOCOL_GRANTED ? SESSION_EXIT_GRANTED
                                                                : SESSION_EXIT_REFUSED);
        reap_all();
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
}

static void the_gate_refuses_invalid_launch_descriptions(void **state) {
    int pipe_ends[2];
    CLEANUP_FD int unsealed = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CLEANUP_FD int folder = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_FD int path = open("/etc/passwd", O_PATH | O_CLOEXEC);
    CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)state;
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
    assert_int_equal(ftruncate(unsealed, 64), 0);
    for (const int *fd = (int[]){unsealed, folder, path, null, pipe_ends[0], pipe_ends[1], -1};
         *fd >= 0; fd++) {
        const struct protocol_request request = good_request();
        struct broker broker;

        broker_start(&broker, USER_WITHOUT_NAME, NULL);
        assert_int_equal(channel_send(broker.channel, &request, sizeof(request), fd, 1), 0);
        assert_int_equal(reply_of(&broker).status, PROTOCOL_BAD_REQUEST);
        broker_end(&broker, SESSION_EXIT_REFUSED);
        reap_all();
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void a_launcher_that_ends_leaves_no_process(void **state) {
    struct broker broker;

    (void)state;
    broker_start(&broker, USER_WITHOUT_NAME, NULL);
    broker_end(&broker, SESSION_EXIT_REFUSED);
    reap_all();
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* Killed at any moment: no command runs without a grant, and no gate waits for ever. */
static void a_killed_broker_leaves_no_gate(void **state) {
    unsigned seed = 11;

    (void)state;
    for (int i = 0; i < 100; i++) {
        struct broker broker;
        int status;

        broker_start(&broker, USER_WITHOUT_NAME, NULL);
        usleep((unsigned)rand_r(&seed) % 4000);
        assert_int_equal(kill(broker.pid, SIGKILL), 0);
        assert_int_equal(waitpid(broker.pid, &status, 0), broker.pid);
        base_close_fd(&broker.channel);
        reap_all();
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
}

static bool file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

/* A caller who holds the capability already, here root, may choose the policy, but it must be
 * valid. */
static void a_caller_with_the_capability_may_choose_the_policy(void **state) {
    static const struct {
        const char *set_up;
        enum protocol_status status;
    } cases[] = {
        {"echo 'permit any hostname x.test' > /tmp/test-broker/a.conf", PROTOCOL_GRANTED},
        {"echo 'deny any' > /tmp/test-broker/a.conf", PROTOCOL_DENIED},
        {"echo 'permit any hostname x.test' > /tmp/test-broker/a.conf; chmod 777 /tmp/test-broker",
         PROTOCOL_POLICY_INVALID},
        {"echo 'permit any hostname x.test' > /tmp/test-broker/a.conf; chown 54321 "
         "/tmp/test-broker/a.conf",
         PROTOCOL_POLICY_INVALID},
        {"true", PROTOCOL_POLICY_INVALID},
    };
    static char *const command[] = {"touch", "/tmp/test-broker.ran", NULL};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct protocol_request request = good_request();
        CLEANUP_FD int launch = good_launch_of(command);
        struct broker broker;

        assert_int_equal(system("rm -rf /tmp/test-broker /tmp/test-broker.ran; umask 022; "
                                "mkdir /tmp/test-broker"),
                         0);
        assert_int_equal(system(cases[i].set_up), 0);
        broker_start(&broker, NULL, "/tmp/test-broker");
        assert_int_equal(channel_send(broker.channel, &request, sizeof(request), &launch, 1), 0);
        assert_int_equal(reply_of(&broker).status, cases[i].status);
        broker_end(&broker, cases[i].status == PROTOCOL_GRANTED ? SESSION_EXIT_GRANTED
                                                                : SESSION_EXIT_REFUSED);
        reap_all();
        assert_int_equal(file_exists("/tmp/test-broker.ran"), cases[i].status == PROTOCOL_GRANTED);
    }
    assert_int_equal(system("rm -rf /tmp/test-broker /tmp/test-broker.ran"), 0);
}

/* The broker has the capability from its file, so it obeys no option of its caller. */
static void an_unprivileged_caller_may_not_choose_the_policy(void **state) {
    struct broker broker;

    (void)state;
    assert_int_equal(system("rm -rf /tmp/test-broker; umask 022; mkdir /tmp/test-broker; "
                            "echo 'permit any hostname *' > /tmp/test-broker/a.conf"),
                     0);
    broker_start(&broker, USER_WITHOUT_NAME, "/tmp/test-broker");
    broker_end(&broker, 125);
    reap_all();
    assert_int_equal(system("rm -rf /tmp/test-broker"), 0);
}

/* The kernel does not check RLIMIT_NPROC for a process with CAP_SYS_ADMIN; the broker does. */
static void the_limit_of_processes_is_obeyed(void **state) {
    const struct protocol_request request = good_request();
    CLEANUP_FD int launch = good_launch();
    struct broker broker;
    struct protocol_reply reply;

    (void)state;
    broker_prepare = limit_processes;
    broker_start(&broker, USER_WITHOUT_NAME, NULL);
    broker_prepare = NULL;
    assert_int_equal(channel_send(broker.channel, &request, sizeof(request), &launch, 1), 0);
    reply = reply_of(&broker);
    assert_int_equal(reply.status, PROTOCOL_KERNEL_REFUSED);
    assert_int_equal(reply.error, EAGAIN);
    broker_end(&broker, SESSION_EXIT_REFUSED);
    reap_all();
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* A launcher that delays its request gets no old policy, and no gate waits for it. */
static void a_late_request_is_refused(void **state) {
    struct broker broker;

    (void)state;
    broker_start(&broker, USER_WITHOUT_NAME, NULL);
    assert_int_equal(reply_of(&broker).status, PROTOCOL_TOO_LATE);
    broker_end(&broker, SESSION_EXIT_REFUSED);
    reap_all();
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static bool session_is_confined(void *context) {
    return strcmp(harness_status_line(*(const pid_t *)context, "Seccomp"), "2") == 0;
}

/*
 * The session is stopped while it waits, and the request is there when it goes on. So the wait does
 * not time out, and only the age of the policy shows the delay.
 */
static void a_stopped_session_does_not_use_an_old_policy(void **state) {
    const struct protocol_request request = good_request();
    CLEANUP_FD int launch = good_launch();
    struct broker broker;

    (void)state;
    broker_start(&broker, USER_WITHOUT_NAME, NULL);
    assert_true(harness_wait_for(session_is_confined, &broker.pid));
    assert_int_equal(kill(broker.pid, SIGSTOP), 0);
    assert_int_equal(channel_send(broker.channel, &request, sizeof(request), &launch, 1), 0);
    sleep(12);
    assert_int_equal(kill(broker.pid, SIGCONT), 0);
    assert_int_equal(reply_of(&broker).status, PROTOCOL_TOO_LATE);
    broker_end(&broker, SESSION_EXIT_REFUSED);
    reap_all();
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static pid_t other_child_than(pid_t known) {
    char path[64], text[256] = "";
    FILE *file;
    int first = 0, second = 0;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    file = fopen(path, "re");
    assert_non_null(file);
    (void)!fgets(text, sizeof(text), file);
    fclose(file);
    assert_int_equal(sscanf(text, "%d %d", &first, &second), 2);
    return first == known ? second : first;
}

/* True if an unprivileged process of the same user may attach to @pid. */
static bool can_be_attached(pid_t pid) {
    pid_t attacker = fork();
    int status;

    if (attacker == 0) {
        char path[64];
        int fd;

        harness_become(USER_WITHOUT_NAME);
        snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
        fd = open(path, O_RDWR);
        _exit(fd >= 0);
    }
    assert_int_equal(waitpid(attacker, &status, 0), attacker);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) != 0;
}

/* Reads from outside, while the session waits for its request, which privileges each process has.
 */
static void each_process_holds_what_the_design_says(void **state) {
    static const char none[] = "0000000000000000", sys_admin[] = "0000000000200000";
    static const struct {
        const char *key;
        const char *session, *gate;
    } cases[] = {
        {"CapInh", none, none},
        {"CapPrm", none, sys_admin},
        {"CapEff", none, sys_admin},
        {"CapAmb", none, none},
        {"NoNewPrivs", "1", "0"},
        {"Seccomp", "2", "0"},
        {"Uid", "54321\t54321\t54321\t54321", "54321\t54321\t54321\t54321"},
    };
    struct broker broker;
    pid_t gate;

    (void)state;
    broker_start(&broker, USER_WITHOUT_NAME, NULL);
    assert_true(harness_wait_for(session_is_confined, &broker.pid));
    gate = other_child_than(broker.pid);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        assert_string_equal(harness_status_line(broker.pid, cases[i].key), cases[i].session);
        assert_string_equal(harness_status_line(gate, cases[i].key), cases[i].gate);
    }
    assert_false(can_be_attached(broker.pid));
    assert_false(can_be_attached(gate));
    broker_end(&broker, SESSION_EXIT_REFUSED);
    reap_all();
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(malformed_records_are_refused_and_no_process_is_left),
    cmocka_unit_test(the_gate_refuses_invalid_launch_descriptions),
    cmocka_unit_test(a_launcher_that_ends_leaves_no_process),
    cmocka_unit_test(a_killed_broker_leaves_no_gate),
    cmocka_unit_test(a_caller_with_the_capability_may_choose_the_policy),
    cmocka_unit_test(an_unprivileged_caller_may_not_choose_the_policy),
    cmocka_unit_test(the_limit_of_processes_is_obeyed),
    cmocka_unit_test(a_late_request_is_refused),
    cmocka_unit_test(a_stopped_session_does_not_use_an_old_policy),
    cmocka_unit_test(each_process_holds_what_the_design_says),
};

HARNESS_MAIN(tests)
