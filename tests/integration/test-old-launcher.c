/*
 * A launcher of another protocol version: the service serves one of the version before, whose bytes
 * are kept (tests/record.h), and utsrun says what to do if the service is the older one.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/integration/by-hand.h"
#include "tests/integration/harness.h"
#include "tests/record.h"
#include "utsbroker/channel.h"

enum { OLD = PROTOCOL_VERSION - 1 };

static struct test_service *service(void) {
    return harness_service_of(USER_WITHOUT_NAME);
}

/* The launch description of the old launcher: sh -c 'exit 7', after @before. */
static int description_make(const char *before) {
    static const char script[] = "exit 7";
    unsigned char bytes[RECORD_SIZE_MAX];
    size_t size = record_read(OLD, "launch", bytes), length = strlen(before);
    unsigned char *at = memmem(bytes, size, script, sizeof(script));
    int fd = memfd_create("launch", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (at == NULL || fd < 0)
        _exit(101);
    memmove(at + length, at, (size_t)(bytes + size - at));
    memcpy(at, before, length);
    size += length;
    if (write(fd, bytes, size) != (ssize_t)size ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        _exit(101);
    return fd;
}

/* The request of the old launcher, with changes. */
struct change {
    uint32_t version; /* 0: its own */
    const char *hostname, *before;
};

static void request_send(int channel, struct change change) {
    unsigned char bytes[RECORD_SIZE_MAX];
    size_t size = record_read(OLD, "request-service", bytes);
    const int fds[] = {description_make(change.before != NULL ? change.before : ""),
                       open("/", O_PATH | O_CLOEXEC)};

    if (change.version != 0)
        memcpy(bytes, &change.version, sizeof(change.version));
    if (change.hostname != NULL)
        strcpy((char *)bytes + offsetof(struct protocol_request, hostname), change.hostname);
    if (channel_send(channel, bytes, size, fds, 2) < 0)
        _exit(102);
}

/* Receives a reply, whose version must be @version. No reply is changed on the way, as of
 * hand_receive_reply(). */
static struct protocol_reply reply_receive(int channel, uint32_t version) {
    struct protocol_reply reply;
    struct channel_fds fds;
    size_t size = 0;

    if (channel_receive_surely(channel, &reply, sizeof(reply), &size, &fds) < 0 ||
        size != sizeof(reply) || reply.version != version)
        _exit(103);
    if (fds.n_fds != (reply.status == PROTOCOL_GRANTED ? 1U : 0U))
        _exit(104);
    channel_fds_deinit(&fds);
    return reply;
}

static void status_receive(int channel, int wait_status) {
    const struct protocol_notice expected = {.version = OLD, .wait_status = wait_status};
    struct protocol_notice notice;

    if (recv(channel, &notice, sizeof(notice), 0) != sizeof(notice) ||
        memcmp(&notice, &expected, sizeof(notice)) != 0)
        _exit(105);
    if (recv(channel, &notice, sizeof(notice), 0) != 0)
        _exit(106);
}

/* Runs @function as the user, with a connection to the service. Its exit status must be 0. */
static void as_launcher(const char *what, void (*function)(int channel)) {
    pid_t pid = fork();
    int status, channel;

    assert_true(pid >= 0);
    if (pid == 0) {
        harness_become(USER_WITHOUT_NAME);
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* the service reads its files in /proc */
        channel = hand_connect(service()->path);
        if (channel < 0)
            _exit(100);
        function(channel);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("%s: exit status %d", what, WEXITSTATUS(status));
}

static void be_granted(int channel) {
    struct protocol_reply reply;

    request_send(channel, (struct change){0});
    reply = reply_receive(channel, OLD);
    if (reply.status != PROTOCOL_GRANTED || reply.pid <= 0 || reply.rule_line == 0)
        _exit(107);
    status_receive(channel, 7 << 8);
}

static void be_denied(int channel) {
    request_send(channel, (struct change){.hostname = "not.permitted"});
    if (reply_receive(channel, OLD).status != PROTOCOL_DENIED)
        _exit(107);
}

/* It could not understand a request to prove something, which is new. */
static void be_confined(int channel) {
    struct protocol_reply reply;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(108);
    request_send(channel, (struct change){0});
    reply = reply_receive(channel, OLD);
    if (reply.status != PROTOCOL_CALLER_CONFINED || reply.confinement != PROTOCOL_NO_NEW_PRIVS)
        _exit(107);
}

static void send_a_malformed_request(int channel) {
    const uint32_t record[] = {OLD, 0, 0};

    if (channel_send(channel, record, sizeof(record), NULL, 0) < 0 ||
        reply_receive(channel, OLD).status != PROTOCOL_BAD_REQUEST)
        _exit(107);
}

static void have_a_version_that_is_too_old(int channel) {
    request_send(channel, (struct change){.version = PROTOCOL_VERSION_MIN - 1});
    if (reply_receive(channel, PROTOCOL_VERSION).status != PROTOCOL_BAD_VERSION)
        _exit(107);
}

static void have_a_version_that_is_too_new(int channel) {
    request_send(channel, (struct change){.version = PROTOCOL_VERSION + 1});
    if (reply_receive(channel, PROTOCOL_VERSION).status != PROTOCOL_BAD_VERSION)
        _exit(107);
}

/* The program that goes on still knows the version of the launcher. */
static void be_granted_and_see_a_reload(int channel) {
    request_send(channel, (struct change){.before = "sleep 1; "});
    if (reply_receive(channel, OLD).status != PROTOCOL_GRANTED)
        _exit(107);
    if (kill(service()->pid, SIGHUP) < 0)
        _exit(108);
    status_receive(channel, 7 << 8);
}

static const struct {
    const char *what;
    void (*function)(int channel);
} launchers[] = {
    {"granted", be_granted},
    {"denied", be_denied},
    {"no_new_privs", be_confined},
    {"malformed", send_a_malformed_request},
    {"too old", have_a_version_that_is_too_old},
    {"too new", have_a_version_that_is_too_new},
    {"granted, then a reload", be_granted_and_see_a_reload},
    {"granted after a reload", be_granted},
};

static void a_launcher_gets_replies_of_its_version(void **state) {
    (void)state;
    policy_write("10-test.conf", "permit any hostname *.test");
    for (size_t i = 0; i < BASE_ARRAY_SIZE(launchers); i++)
        as_launcher(launchers[i].what, launchers[i].function);
    policy_clear();
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* In place of the service: replies as one of the version before. */
static _Noreturn void old_service_run(int listener) {
    const struct protocol_reply reply = {.version = OLD, .status = PROTOCOL_BAD_VERSION};
    int channel = accept(listener, NULL, NULL);
    char request[1024];

    (void)recv(channel, request, sizeof(request), 0);
    _exit(send(channel, &reply, sizeof(reply), 0) == sizeof(reply) ? 0 : 1);
}

static void utsrun_says_that_the_service_is_older(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "--via", "service", "-n", "x.test", "true"}};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char saved[128];
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    pid_t pid;

    (void)state;
    snprintf(saved, sizeof(saved), "%s.saved", service()->path);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", service()->path);
    assert_int_equal(rename(service()->path, saved), 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(chmod(service()->path, 0666), 0);
    assert_int_equal(listen(listener, 1), 0);
    pid = fork();
    if (pid == 0)
        old_service_run(listener);
    close(listener);
    harness_run(&run, &result);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(rename(saved, service()->path), 0);
    harness_assert_exit(&result, 125);
    if (strstr(result.errors, "the service runs an older program than utsrun (protocol 4, not 5); "
                              "ask the administrator to reload utsbroker@54321.service") == NULL)
        fail_msg("%s", result.errors);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_launcher_gets_replies_of_its_version),
    cmocka_unit_test(utsrun_says_that_the_service_is_older),
};

HARNESS_MAIN(tests)
