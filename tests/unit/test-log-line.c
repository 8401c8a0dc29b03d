#include "broker/session/syslog.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/test.h"

static void lines_have_all_values_and_cannot_be_forged(void **state) {
    static const struct {
        struct log_line line;
        const char *text;
    } cases[] = {
        {{.kind = LEDGER_ENTER,
          .user = "alice",
          .uid = 1000,
          .hostname = "node1.test",
          .rule_file = "/etc/utsbroker/policy.d/10-lab.conf",
          .rule_line = 12,
          .pid = 42,
          .command = "make"},
         "grant user=\"alice\" uid=1000 hostname=\"node1.test\" domainname=- "
         "rule=\"/etc/utsbroker/policy.d/10-lab.conf:12\" pid=42 mode=direct command=\"make\" "
         "reason=-"},
        {{.kind = LEDGER_REFUSAL,
          .uid = 4294967294,
          .hostname = "evil",
          .domainname = "d",
          .reason = "no rule permits it"},
         "refusal user=- uid=4294967294 hostname=\"evil\" domainname=\"d\" rule=- pid=- "
         "mode=direct command=- reason=\"no rule permits it\""},
        {{.kind = LEDGER_FAILURE, .pid = 7, .command = "", .reason = "x"},
         "failure user=- uid=0 hostname=- domainname=- rule=- pid=7 mode=direct command=\"\" "
         "reason=\"x\""},
        {{.kind = LEDGER_REFUSAL,
          .hostname = "a\" uid=0\ngrant user=\"root\\\t\x1b[31m\x7f\xc3\xbc",
          .command = "\n\" uid=0"},
         "refusal user=- uid=0 hostname=\"a\\x22 uid=0\\x0agrant user=\\x22root\\x5c\\x09\\x1b[31m"
         "\\x7f\\xc3\\xbc\" domainname=- rule=- pid=- mode=direct command=\"\\x0a\\x22 uid=0\" "
         "reason=-"},
        {{.kind = LEDGER_END,
          .uid = 1000,
          .hostname = "n1.test",
          .rule_file = "f",
          .rule_line = 1,
          .pid = 42,
          .mode = LEDGER_SERVICE,
          .command = "a",
          .has_status = true,
          .wait_status = 7 << 8},
         "end user=- uid=1000 hostname=\"n1.test\" domainname=- rule=\"f:1\" pid=42 mode=service "
         "command=\"a\" exit=7 signal=-"},
        {{.kind = LEDGER_END,
          .user = "a",
          .uid = 1,
          .pid = 42,
          .mode = LEDGER_SERVICE,
          .has_status = true,
          .wait_status = 9},
         "end user=\"a\" uid=1 hostname=- domainname=- rule=- pid=42 mode=service command=- exit=- "
         "signal=9"},
        {{.kind = LEDGER_END, .pid = 42, .wait_status = 9, .n_missed = 3},
         "end user=- uid=0 hostname=- domainname=- rule=- pid=42 mode=direct command=- exit=- "
         "signal=- missed=3"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char line[1024];
        size_t length = log_line_format(line, sizeof(line), &cases[i].line);

        assert_string_equal(line, cases[i].text);
        assert_int_equal(length, strlen(line));
    }
}

/* The longest of all: no value is cut off. */
static void a_line_of_the_longest_values_fits(void **state) {
    static struct ledger_event event = {
        .kind = LEDGER_REFUSAL, .names = 3, .rule_line = UINT32_MAX};
    static char text[LOG_LINE_SIZE];
    struct log_line line;

    (void)state;
    memset(event.hostname, '\n', sizeof(event.hostname) - 1);
    memset(event.domainname, '\n', sizeof(event.domainname) - 1);
    memset(event.user, '\n', sizeof(event.user) - 1);
    memset(event.rule_file, '\n', sizeof(event.rule_file) - 1);
    memset(event.command, '\n', sizeof(event.command) - 1);
    memset(event.reason, '\n', sizeof(event.reason) - 1);
    log_line_from_event(&line, &event, UINT32_MAX);
    line.n_missed = UINT32_MAX;
    log_line_format(text, sizeof(text), &line);
    assert_non_null(strstr(text, " missed=4294967295"));
}

static void a_line_that_is_too_long_is_cut_off(void **state) {
    char reason[4000], line[300];
    struct log_line event = {.kind = LEDGER_REFUSAL, .reason = reason};

    (void)state;
    memset(reason, '\n', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    for (size_t size = 1; size <= sizeof(line); size++) {
        memset(line, 'x', sizeof(line));
        assert_true(log_line_format(line, size, &event) < size);
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
    const struct log_line event = {.kind = LEDGER_ENTER, .uid = 5, .hostname = "a.test", .pid = 9};
    char path[64], record[512], expected[512];

    (void)state;
    snprintf(path, sizeof(path), "/tmp/test-log-line-%d", (int)getpid());
    for (size_t i = 0; i < BASE_ARRAY_SIZE(types); i++) {
        CLEANUP_FD int daemon = listen_at(path, types[i]);
        CLEANUP_FD int connection = -1;
        struct syslog_link syslog = SYSLOG_LINK_NULL;
        ssize_t n;

        assert_int_equal(syslog_open(&syslog, path), 0);
        assert_true(syslog.fd >= 0);
        if (types[i] == SOCK_STREAM)
            connection = accept(daemon, NULL, NULL);
        assert_int_equal(syslog_write(&syslog, &event), 0);
        n = recv(types[i] == SOCK_STREAM ? connection : daemon, record, sizeof(record), 0);
        assert_true(n > 0);
        /* LOG_AUTHPRIV (10) | LOG_NOTICE (5); only a stream needs a NUL at the end. */
        snprintf(expected, sizeof(expected),
                 "<85>utsbroker[%d]: grant user=- uid=5 hostname=\"a.test\" domainname=- rule=- "
                 "pid=9 mode=direct command=- reason=-",
                 (int)getpid());
        assert_int_equal(n, strlen(expected) + (types[i] == SOCK_STREAM));
        assert_memory_equal(record, expected, strlen(expected));
        close(syslog.fd);
    }
    unlink(path);
}

static void without_a_daemon_nothing_fails(void **state) {
    const struct log_line event = {.kind = LEDGER_REFUSAL};
    struct syslog_link syslog = SYSLOG_LINK_NULL;

    (void)state;
    assert_int_equal(syslog_open(&syslog, "/nonexistent/log"), 0);
    assert_true(syslog.fd < 0);
    assert_int_equal(syslog_write(&syslog, &event), 0);
}

static void a_daemon_that_ends_before_it_has_the_line_is_an_error(void **state) {
    static const struct {
        int type, error;
    } cases[] = {{SOCK_DGRAM, -ECONNREFUSED}, {SOCK_STREAM, -EPIPE}};
    const struct log_line event = {.kind = LEDGER_REFUSAL};
    char path[64];

    (void)state;
    snprintf(path, sizeof(path), "/tmp/test-log-line-%d", (int)getpid());
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        int daemon = listen_at(path, cases[i].type);
        struct syslog_link syslog = SYSLOG_LINK_NULL;

        assert_int_equal(syslog_open(&syslog, path), 0);
        if (cases[i].type == SOCK_STREAM)
            close(accept(daemon, NULL, NULL));
        close(daemon);
        assert_int_equal(syslog_write(&syslog, &event), cases[i].error);
        close(syslog.fd);
    }
    unlink(path);
}

static void a_daemon_that_cannot_be_reached_is_an_error(void **state) {
    struct rlimit before;
    struct syslog_link syslog = SYSLOG_LINK_NULL;

    (void)state;
    assert_int_equal(syslog_open(&syslog, "/dev/null/log"), -ENOTDIR);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, before.rlim_max}), 0);
    assert_int_equal(syslog_open(&syslog, "/dev/log"), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lines_have_all_values_and_cannot_be_forged),
    cmocka_unit_test(a_line_of_the_longest_values_fits),
    cmocka_unit_test(a_line_that_is_too_long_is_cut_off),
    cmocka_unit_test(records_reach_daemons_of_both_kinds),
    cmocka_unit_test(without_a_daemon_nothing_fails),
    cmocka_unit_test(a_daemon_that_ends_before_it_has_the_line_is_an_error),
    cmocka_unit_test(a_daemon_that_cannot_be_reached_is_an_error),
};

TEST_MAIN(tests)
