/* Groups that only a directory knows, and users who try to hide them from the broker. */

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "launcher/options.h"
#include "launcher/request.h"
#include "tests/integration/harness.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

static const char policy[] = "deny group labstudents hostname licence*\n"
                             "permit any hostname *\n";

static int set_up(void **state) {
    /* The service must live where its callers do: in the same mount namespace. */
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        harness_mount_groups() != 0 || harness_set_up(state) != 0)
        return -1;
    policy_write("10-test.conf", policy);
    return 0;
}

static void the_directory_is_used(void **state) {
    static struct result result;
    struct run run = {.user = USER_WITHOUT_NAME, .argv = {UTSRUN_PATH, "-n", "licence1", "true"}};

    (void)state;
    harness_run(&run, &result);
    harness_assert_exit(&result, 125);
    assert_non_null(strstr(result.errors, "10-test.conf:1 denies it"));
    run.user = USER_NOBODY; /* not a member of the group */
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
}

/* The reply of a broker that a user executes directly, with an environment of their own. */
static enum protocol_status status_with_hostile_environment(void) {
    const struct protocol_request request = {
        .version = PROTOCOL_VERSION, .names = PROTOCOL_HOSTNAME, .hostname = "licence1"};
    char *command[] = {"true", NULL}, *nothing[] = {NULL};
    const struct options options = {.hostname = "licence1", .command = command};
    struct protocol_reply reply = {.status = PROTOCOL_STATUS_COUNT};
    struct channel_fds fds;
    int ends[2], launch = -1, status;
    size_t size;
    pid_t pid;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    pid = fork();
    if (pid == 0) {
        char *argv[] = {"utsbroker", "--session-fd", "9", NULL};
        char *environment[] = {"TEST_NSS_AWAY=1", NULL};

        dup2(ends[1], 9);
        harness_become(USER_WITHOUT_NAME);
        (void)execve(BROKER_PATH, argv, environment);
        _exit(202);
    }
    close(ends[1]);
    assert_int_equal(request_write_launch(&launch, &options, nothing, &(struct request_place){0}),
                     0);
    assert_int_equal(channel_send(ends[0], &request, sizeof(request), &launch, 1), 0);
    assert_int_equal(channel_receive(ends[0], &reply, sizeof(reply), &size, &fds), 0);
    channel_fds_deinit(&fds);
    close(launch);
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    return (enum protocol_status)reply.status;
}

static void no_variable_disables_the_directory(void **state) {
    (void)state;
    harness_permit_direct();
    assert_int_equal(status_with_hostile_environment(), PROTOCOL_DENIED);
    /* A deny rule also denies without the directory; a permit rule shows that it was used. */
    policy_write("10-test.conf", "permit group labstudents hostname licence*\n");
    assert_int_equal(status_with_hostile_environment(), PROTOCOL_GRANTED);
    harness_prevent_direct();
    policy_write("10-test.conf", policy);
}

static void limit_memory(void *context) {
    const rlim_t size = *(const rlim_t *)context;
    const struct rlimit limit = {size, size};

    (void)setrlimit(RLIMIT_AS, &limit);
}

/* With too little memory for the module the C library reports "not found", as for no such group. */
static void no_limit_disables_the_directory(void **state) {
    unsigned n_denied = 0, n_failed = 0;

    (void)state;
    for (rlim_t size = 1 << 20; size < 12 << 20; size += 16 << 10) {
        static struct result result;
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "licence1", "true"},
                                .set_up = limit_memory,
                                .context = &size};

        harness_run(&run, &result);
        if (WIFEXITED(result.status) && WEXITSTATUS(result.status) == 0)
            fail_msg("granted with %lu KiB of memory", (unsigned long)size >> 10);
        if (strstr(result.errors, "10-test.conf:1 denies it") != NULL)
            n_denied++;
        else
            n_failed++;
    }
    print_message("denied %u times; failed before that for lack of memory %u times\n", n_denied,
                  n_failed);
#ifdef NDEBUG /* a sanitizer's runtime needs terabytes of address space */
    /* The service applies the caller's limits to the command only. */
    assert_true(n_denied > 10 && (n_failed > 10 || harness_is_service()));
#endif
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* Without a request: the service ends a ready session that hangs, when it gives it up. */
static void a_directory_that_hangs_does_not_keep_the_service_alive(void **state) {
    char *const options[] = {"--idle-exit", "3", NULL};
    struct test_service service;
    int status;

    (void)state;
    policy_write("10-test.conf", "permit group hanging hostname a");
    service_start(&service, USER_WITHOUT_NAME, "/tmp/test-nss-hanging/socket", options);
    for (int i = 0; i < 600; i++) {
        if (waitpid(service.pid, &status, WNOHANG) == service.pid)
            break;
        if (harness_count_processes(USER_WITHOUT_NAME->uid) > 4 * SERVICE_PROCESSES)
            fail_msg("%zu processes", harness_count_processes(USER_WITHOUT_NAME->uid));
        usleep(10000);
        assert_true(i < 599);
    }
    assert_int_equal(status, 0);
    close(service.listen_fd);
    policy_write("10-test.conf", policy);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_directory_is_used),
    cmocka_unit_test(no_variable_disables_the_directory),
    cmocka_unit_test(no_limit_disables_the_directory),
    cmocka_unit_test(a_directory_that_hangs_does_not_keep_the_service_alive),
};

TEST_MAIN_AS_ROOT(tests, set_up, harness_tear_down)
