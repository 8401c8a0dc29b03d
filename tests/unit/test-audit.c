#include "broker/audit.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/test.h"

static const struct policy_rule rule = {.file = "/etc/utsbroker/policy.d/10-lab.conf", .line = 12};

static void lines_have_all_values_and_cannot_be_forged(void **state) {
    static const struct {
        struct audit_event event;
        const char *line;
    } cases[] = {
        {{.kind = AUDIT_GRANT,
          .user = "alice",
          .uid = 1000,
          .hostname = "node1.test",
          .rule = &rule,
          .pid = 42,
          .mode = "direct"},
         "grant user=\"alice\" uid=1000 hostname=\"node1.test\" domainname=- "
         "rule=\"/etc/utsbroker/policy.d/10-lab.conf:12\" pid=42 mode=direct reason=-"},
        {{.kind = AUDIT_REFUSAL,
          .uid = 4294967294,
          .hostname = "evil",
          .domainname = "d",
          .mode = "direct",
          .reason = "no rule permits it"},
         "refusal user=- uid=4294967294 hostname=\"evil\" domainname=\"d\" rule=- pid=- "
         "mode=direct reason=\"no rule permits it\""},
        {{.kind = AUDIT_FAILURE, .mode = "direct", .pid = 7, .reason = "x"},
         "failure user=- uid=0 hostname=- domainname=- rule=- pid=7 mode=direct reason=\"x\""},
        {{.kind = AUDIT_REFUSAL,
          .hostname = "a\" uid=0\ngrant user=\"root\\\t\x1b[31m\x7f\xc3\xbc",
          .mode = "direct"},
         "refusal user=- uid=0 hostname=\"a\\x22 uid=0\\x0agrant user=\\x22root\\x5c\\x09\\x1b[31m"
         "\\x7f\\xc3\\xbc\" domainname=- rule=- pid=- mode=direct reason=-"},
        {{.kind = AUDIT_END, .uid = 1000, .pid = 42, .mode = "service", .wait_status = 7 << 8},
         "end user=- uid=1000 pid=42 mode=service exit=7 signal=-"},
        {{.kind = AUDIT_END, .user = "a", .uid = 1, .pid = 42, .mode = "service", .wait_status = 9},
         "end user=\"a\" uid=1 pid=42 mode=service exit=- signal=9"},
        {{.kind = AUDIT_POLICY, .uid = 1000, .mode = "service", .reason = "f.conf:1:2: \"x\""},
         "policy-error user=- uid=1000 mode=service reason=\"f.conf:1:2: \\x22x\\x22\""},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char line[1024];
        size_t length = audit_format(line, sizeof(line), &cases[i].event);

        assert_string_equal(line, cases[i].line);
        assert_int_equal(length, strlen(line));
    }
}

static void a_line_that_is_too_long_is_cut_off(void **state) {
    char reason[4000], line[300];
    struct audit_event event = {.mode = "direct", .reason = reason};

    (void)state;
    memset(reason, '\n', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    for (size_t size = 1; size <= sizeof(line); size++) {
        memset(line, 'x', sizeof(line));
        assert_true(audit_format(line, size, &event) < size);
        assert_int_equal(strlen(line), strnlen(line, size));
        if (size < sizeof(line))
            assert_int_equal(line[size], 'x');
    }
}

static int listen_at(const char *path, int type) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    (void)unlink(path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void records_reach_daemons_of_both_kinds(void **state) {
    static const int types[] = {SOCK_DGRAM, SOCK_STREAM};
    const struct audit_event event = {
        .kind = AUDIT_GRANT, .uid = 5, .hostname = "a.test", .pid = 9, .mode = "direct"};
    char path[64], record[512], expected[512];

    (void)state;
    snprintf(path, sizeof(path), "/tmp/test-audit-%d", (int)getpid());
    for (size_t i = 0; i < BASE_ARRAY_SIZE(types); i++) {
        CLEANUP_FD int daemon = listen_at(path, types[i]);
        CLEANUP_FD int connection = -1;
        struct audit audit = AUDIT_NULL;
        ssize_t n;

        assert_int_equal(audit_open(&audit, path, 0), 0);
        assert_true(audit.fd >= 0);
        if (types[i] == SOCK_STREAM)
            connection = accept(daemon, NULL, NULL);
        assert_int_equal(audit_write(&audit, &event), 0);
        n = recv(types[i] == SOCK_STREAM ? connection : daemon, record, sizeof(record), 0);
        assert_true(n > 0);
        /* LOG_AUTHPRIV (10) | LOG_NOTICE (5); only a stream needs a NUL at the end. */
        snprintf(expected, sizeof(expected),
                 "<85>utsbroker[%d]: grant user=- uid=5 hostname=\"a.test\" domainname=- rule=- "
                 "pid=9 mode=direct reason=-",
                 (int)getpid());
        assert_int_equal(n, strlen(expected) + (types[i] == SOCK_STREAM));
        assert_memory_equal(record, expected, strlen(expected));
        close(audit.fd);
    }
    unlink(path);
}

static void without_a_daemon_nothing_fails(void **state) {
    const struct audit_event event = {.mode = "direct"};
    struct audit audit = AUDIT_NULL;

    (void)state;
    assert_int_equal(audit_open(&audit, "/nonexistent/log", 0), 0);
    assert_true(audit.fd < 0);
    assert_int_equal(audit_write(&audit, &event), 0);
}

static void a_daemon_that_ends_before_it_has_the_line_is_an_error(void **state) {
    static const struct {
        int type, error;
    } cases[] = {{SOCK_DGRAM, -ECONNREFUSED}, {SOCK_STREAM, -EPIPE}};
    const struct audit_event event = {.mode = "direct"};
    char path[64];

    (void)state;
    snprintf(path, sizeof(path), "/tmp/test-audit-%d", (int)getpid());
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        int daemon = listen_at(path, cases[i].type);
        struct audit audit = AUDIT_NULL;

        assert_int_equal(audit_open(&audit, path, 0), 0);
        if (cases[i].type == SOCK_STREAM)
            close(accept(daemon, NULL, NULL));
        close(daemon);
        assert_int_equal(audit_write(&audit, &event), cases[i].error);
        close(audit.fd);
    }
    unlink(path);
}

static void a_daemon_that_cannot_be_reached_is_an_error(void **state) {
    struct rlimit before;
    struct audit audit = AUDIT_NULL;

    (void)state;
    assert_int_equal(audit_open(&audit, "/dev/null/log", 0), -ENOTDIR);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, before.rlim_max}), 0);
    assert_int_equal(audit_open(&audit, "/dev/log", 0), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lines_have_all_values_and_cannot_be_forged),
    cmocka_unit_test(a_line_that_is_too_long_is_cut_off),
    cmocka_unit_test(records_reach_daemons_of_both_kinds),
    cmocka_unit_test(without_a_daemon_nothing_fails),
    cmocka_unit_test(a_daemon_that_ends_before_it_has_the_line_is_an_error),
    cmocka_unit_test(a_daemon_that_cannot_be_reached_is_an_error),
};

TEST_MAIN(tests)
