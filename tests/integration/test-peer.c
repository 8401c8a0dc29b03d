/*
 * Which callers the service serves: each kind of confinement, one by one, and the callers that are
 * not confined.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/integration/by-hand.h"
#include "tests/integration/harness.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

/* What a client does to itself as root, before it becomes the user; NULL: nothing. */
struct client {
    const char *what;
    void (*as_root)(void);
    const struct user *user;
    void (*as_user)(void);
    enum protocol_confinement confinement; /* PROTOCOL_UNCONFINED: the client is served */
    unsigned more; /* served: groups that the command lacks; else a namespace's kind or a group */
};

static void exit_on_error(int r) {
    if (r < 0)
        _exit(200);
}

static void set_no_new_privs(void) {
    exit_on_error(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void set_filter(void) {
    struct sock_filter allow = {.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW};
    const struct sock_fprog program = {.len = 1, .filter = &allow};

    exit_on_error((int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

static void new_mount(void) {
    exit_on_error(unshare(CLONE_NEWNS));
}

static void new_net(void) {
    exit_on_error(unshare(CLONE_NEWNET));
}

static void new_ipc(void) {
    exit_on_error(unshare(CLONE_NEWIPC));
}

static void new_cgroup(void) {
    exit_on_error(unshare(CLONE_NEWCGROUP));
}

static void new_uts(void) {
    exit_on_error(unshare(CLONE_NEWUTS));
}

static void new_time(void) {
    exit_on_error(unshare(CLONE_NEWTIME)); /* for children and for the program that it executes */
}

static void new_user(void) {
    exit_on_error(unshare(CLONE_NEWUSER));
}

/*
 * Children of the client would be in the new namespace, and so would a command started by one of
 * them.
 */
static void new_pid_for_children(void) {
    exit_on_error(unshare(CLONE_NEWPID));
    if (fork() == 0) { /* so that /proc/PID/ns/pid_for_children can be read */
        exit_on_error(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
        pause();
        _exit(0);
    }
}

static void new_pid(void) {
    int status;
    pid_t pid;

    exit_on_error(unshare(CLONE_NEWPID));
    pid = fork();
    exit_on_error(pid);
    if (pid > 0) {
        (void)waitpid(pid, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 201);
    }
}

/* The same files and the same mount namespace; only the root directory is another mount of it. */
static void new_root(void) {
    exit_on_error(chroot("/tmp/test-peer-root"));
    exit_on_error(chdir("/"));
}

static void other_effective_uid(void) {
    exit_on_error(setresuid(65534, USER_WITHOUT_NAME->uid, USER_WITHOUT_NAME->uid));
}

static const struct user lacks_a_group = {
    .uid = 54321, .gid = 54322, .groups = {54323}, .n_groups = 1};
static const struct user lacks_the_gid = {
    .uid = 54321, .gid = 54323, .groups = {54324}, .n_groups = 1};
static const struct user has_more_groups = {
    .uid = 54321, .gid = 54322, .groups = {54323, 54324, 54329}, .n_groups = 3};
static const struct user has_another_gid = {
    .uid = 54321, .gid = 54324, .groups = {54322, 54323}, .n_groups = 2};
static const struct user root = {.uid = 0, .gid = 0};
static const struct user root_with_the_groups = {
    .uid = 0, .gid = 54322, .groups = {54323, 54324}, .n_groups = 2};

/* Ends with 0 if the reply is @client's; with 100 for a grant, else with the confinement. */
static _Noreturn void be_client(const struct client *client, const char *path) {
    struct protocol_reply reply;
    int channel;

    if (client->as_root != NULL)
        client->as_root();
    harness_become(client->user != NULL ? client->user : USER_WITHOUT_NAME);
    if (client->as_user != NULL)
        client->as_user();
    /* As a program that the user executed is: the user owns its files in /proc. */
    exit_on_error(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    channel = hand_connect(path);
    if (channel < 0)
        _exit(202);
    reply = hand_ask(channel);
    if (reply.status != PROTOCOL_GRANTED && reply.status != PROTOCOL_CALLER_CONFINED)
        _exit(203);
    if (reply.confinement == client->confinement &&
        client->more == (reply.status == PROTOCOL_GRANTED            ? reply.groups_lost
                         : reply.confinement == PROTOCOL_LACKS_GROUP ? reply.group
                                                                     : reply.namespace_kind))
        _exit(0);
    _exit(reply.status == PROTOCOL_GRANTED ? 100 : (int)reply.confinement);
}

static int set_up(void **state) {
    if (system("mkdir -p /tmp/test-peer-root && mount --bind / /tmp/test-peer-root && "
               "mount --bind /proc /tmp/test-peer-root/proc && "
               "mount --bind /run /tmp/test-peer-root/run") != 0)
        return -1;
    return harness_set_up(state);
}

static int tear_down(void **state) {
    int r = system("umount /tmp/test-peer-root/run /tmp/test-peer-root/proc /tmp/test-peer-root && "
                   "rmdir /tmp/test-peer-root");

    return harness_tear_down(state) != 0 || r != 0 ? -1 : 0;
}

static void the_service_lets_no_caller_out_of_a_confinement(void **state) {
    static const struct client cases[] = {
        {"as it is", NULL, NULL, NULL, PROTOCOL_UNCONFINED, 0},
        /* It does not prove that this is all (test-hop.c). */
        {"no_new_privs", NULL, NULL, set_no_new_privs, PROTOCOL_UNPROVED, 0},
        {"a seccomp filter", set_filter, NULL, NULL, PROTOCOL_FILTERED, 0},
        {"a mount namespace", new_mount, NULL, NULL, PROTOCOL_OTHER_NAMESPACE,
         PROTOCOL_MOUNT_NAMESPACE},
        {"a network namespace", new_net, NULL, NULL, PROTOCOL_OTHER_NAMESPACE,
         PROTOCOL_NETWORK_NAMESPACE},
        {"an ipc namespace", new_ipc, NULL, NULL, PROTOCOL_OTHER_NAMESPACE, PROTOCOL_IPC_NAMESPACE},
        {"a cgroup namespace", new_cgroup, NULL, NULL, PROTOCOL_OTHER_NAMESPACE,
         PROTOCOL_CGROUP_NAMESPACE},
        {"a time namespace", new_time, NULL, NULL, PROTOCOL_OTHER_NAMESPACE,
         PROTOCOL_TIME_NAMESPACE},
        {"a pid namespace", new_pid, NULL, NULL, PROTOCOL_OTHER_NAMESPACE, PROTOCOL_PID_NAMESPACE},
        {"a pid namespace for children", new_pid_for_children, NULL, NULL, PROTOCOL_OTHER_NAMESPACE,
         PROTOCOL_PID_NAMESPACE},
        {"a user namespace", NULL, NULL, new_user, PROTOCOL_OTHER_NAMESPACE,
         PROTOCOL_USER_NAMESPACE},
        {"a uts namespace", new_uts, NULL, NULL, PROTOCOL_UNCONFINED, 0},
        {"another root", new_root, NULL, NULL, PROTOCOL_OTHER_ROOT, 0},
        {"a group less", NULL, &lacks_a_group, NULL, PROTOCOL_LACKS_GROUP, 54324},
        {"without the service's gid", NULL, &lacks_the_gid, NULL, PROTOCOL_LACKS_GROUP, 54322},
        {"a group more", NULL, &has_more_groups, NULL, PROTOCOL_UNCONFINED, 1},
        /* The kernel lets only a process of the same gid read /proc/PID/ns (ptrace(2), access
         * mode). */
        {"another gid", NULL, &has_another_gid, NULL, PROTOCOL_UNREADABLE, 0},
        {"root", NULL, &root, NULL, PROTOCOL_OTHER_USER, 0},
        {"by half another user", NULL, &root_with_the_groups, other_effective_uid,
         PROTOCOL_OTHER_USER, 0},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct client *client = &cases[i];
        int status;
        pid_t pid = fork();

        if (pid == 0)
            be_client(client, harness_service_of(USER_WITHOUT_NAME)->path);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status != 0)
            fail_msg("%s: wait status 0x%x", client->what, (unsigned)status);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void another_user_cannot_even_connect(void **state) {
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        harness_become(USER_NOBODY);
        _exit(hand_connect(harness_service_of(USER_WITHOUT_NAME)->path) == -EACCES ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The process that connected has ended; another one, perhaps a confined one, has its connection. */
static void a_peer_that_has_ended_is_refused(void **state) {
    int ends[2], channel;
    struct channel_fds fds;
    size_t size;
    char byte;
    pid_t pid;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    pid = fork();
    if (pid == 0) {
        harness_become(USER_WITHOUT_NAME);
        channel = hand_connect(harness_service_of(USER_WITHOUT_NAME)->path);
        _exit(channel_send(ends[1], "x", 1, &channel, 1) == 0 ? 0 : 1);
    }
    assert_int_equal(channel_receive(ends[0], &byte, 1, &size, &fds), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    for (int i = 0; i < 2; i++)
        close(ends[i]);
    {
        struct protocol_reply reply = hand_ask(fds.fds[0]);

        assert_int_equal(reply.status, PROTOCOL_CALLER_CONFINED);
        assert_int_equal(reply.confinement, PROTOCOL_GONE);
    }
    channel_fds_deinit(&fds);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* utsrun's message for a refusal; and with -v, for other groups. */
static void a_refusal_is_one_line(void **state) {
    static const struct {
        const struct user *user;
        int code;
        const char *message;
    } cases[] = {
        {&lacks_a_group, 125, "it has group 54324, which utsrun lacks here; log out"},
        {&has_more_groups, 0, "; the command has the service's groups, not yours; to change that,"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        const struct run run = {.user = cases[i].user,
                                .argv = {UTSRUN_PATH, "-v", "-n", "x.test", "true"}};

        harness_run(&run, &result);
        harness_assert_exit(&result, cases[i].code);
        if (strstr(result.errors, cases[i].message) == NULL)
            fail_msg("expected '%s', got: %s", cases[i].message, result.errors);
    }
}

/* The service lacks a group by which a rule permits the name: the message says which. */
static void a_permit_that_the_service_lacks_the_group_for_is_told(void **state) {
    static const struct {
        char *name;
        const char *message;
    } cases[] = {
        {"lab9",
         "utsrun: host name 'lab9' refused by the service: a rule permits it to you, but the "
         "service lacks group 54329; log out of all sessions and in again, or use --via direct\n"},
        {"lab_9",
         "utsrun: host name 'lab_9' refused by the service: a rule permits it to you, but the "
         "service lacks group 54329; log out of all sessions and in again, or use --via direct\n"},
        {"lab8", "utsrun: host name 'lab8' denied: no rule permits it; "},
    };

    (void)state;
    policy_write("10-test.conf", "permit group 54329 hostname lab9 lab_9");
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        const struct run run = {.user = &has_more_groups,
                                .argv = {UTSRUN_PATH, "-n", cases[i].name, "true"}};

        harness_run(&run, &result);
        harness_assert_exit(&result, 125);
        if (strncmp(result.errors, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("expected '%s', got: %s", cases[i].message, result.errors);
    }
    policy_clear();
}

static void lower_limits(void *context) {
    const struct rlimit files = {100, 150}, core = {0, 0}, size = {1 << 20, 1 << 21};

    (void)context;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)setrlimit(RLIMIT_CORE, &core);
    (void)setrlimit(RLIMIT_FSIZE, &size);
    (void)setpriority(PRIO_PROCESS, 0, 7);
}

/* The service takes them from the kernel: nothing that a caller sends can raise them again. */
static void lowered_limits_and_nice_value_hold_for_the_command(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "bash", "-c",
                                     "ulimit -Sn; ulimit -Hn; ulimit -Hc; ulimit -Sf; ulimit -Hf; "
                                     "nice; ulimit -n 200 2>/dev/null || echo no"},
                            .set_up = lower_limits};

    (void)state;
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    assert_string_equal(result.output, "100\n150\n0\n1024\n2048\n7\nno\n");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_service_lets_no_caller_out_of_a_confinement),
    cmocka_unit_test(another_user_cannot_even_connect),
    cmocka_unit_test(a_peer_that_has_ended_is_refused),
    cmocka_unit_test(a_refusal_is_one_line),
    cmocka_unit_test(a_permit_that_the_service_lacks_the_group_for_is_told),
    cmocka_unit_test(lowered_limits_and_nice_value_hold_for_the_command),
};

TEST_MAIN_AS_ROOT(tests, set_up, tear_down)
