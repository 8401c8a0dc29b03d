#include "utsbroker/channel.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/test.h"

static int ends[2];

static int open_ends(void **state) {
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int close_ends(void **state) {
    (void)state;
    base_close_fd(&ends[0]);
    base_close_fd(&ends[1]);
    return 0;
}

static size_t n_open(void) {
    size_t n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void a_record_arrives_complete_with_its_descriptors(void **state) {
    const int fds[] = {0, ends[0], 1};
    struct channel_fds got;
    char record[8] = "";
    size_t size;

    (void)state;
    for (size_t n = 0; n <= 3; n++) {
        assert_int_equal(channel_send(ends[0], "1234567", 8, fds, n), 0);
        assert_int_equal(channel_receive(ends[1], record, sizeof(record), &size, &got), 0);
        assert_int_equal(size, 8);
        assert_string_equal(record, "1234567");
        assert_int_equal(got.n_fds, n);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(fcntl(got.fds[i], F_GETFD), FD_CLOEXEC);
        channel_fds_deinit(&got);
        assert_int_equal(got.n_fds, 0);
    }
}

/* Too many bytes or descriptors are refused, and no descriptor stays open. */
static void truncated_records_leave_nothing_open(void **state) {
    static const struct {
        size_t size, n_fds;
        int result;
    } cases[] = {
        {8, CHANNEL_FDS_MAX, 0},
        {9, 0, -EMSGSIZE},
        {9, 1, -EMSGSIZE},
        {9, 253, -EMSGSIZE},
    };
    size_t before = n_open();

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        union {
            char bytes[CMSG_SPACE(sizeof(int) * 253)];
            struct cmsghdr aligned;
        } control = {.bytes = {0}};
        char record[8], sent[16] = "";
        struct iovec bytes = {sent, cases[i].size};
        struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
        struct channel_fds got = {.n_fds = 0};
        size_t size;
        int r;

        if (cases[i].n_fds > 0) {
            int fds[253];

            for (size_t j = 0; j < cases[i].n_fds; j++)
                fds[j] = ends[0];
            message.msg_control = control.bytes;
            message.msg_controllen = CMSG_SPACE(sizeof(int) * cases[i].n_fds);
            *CMSG_FIRSTHDR(&message) =
                (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                 .cmsg_type = SCM_RIGHTS,
                                 .cmsg_len = CMSG_LEN(sizeof(int) * cases[i].n_fds)};
            memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, sizeof(int) * cases[i].n_fds);
        }
        /* Not sendmsg(), as in utsbroker/channel.h. */
        assert_int_equal(syscall(SYS_sendmsg, ends[0], &message, 0), cases[i].size);
        r = channel_receive(ends[1], record, sizeof(record), &size, &got);
        if (r != cases[i].result)
            fail_msg("case %zu: %d", i, r);
        if (r == 0)
            channel_fds_deinit(&got);
        assert_int_equal(n_open(), before);
    }
}

/* If the process has no free descriptor left, the kernel cuts the rest off (MSG_CTRUNC). */
static void truncated_descriptors_leave_nothing_open(void **state) {
    struct rlimit before, few;
    struct channel_fds got;
    int fds[32];
    char record[8];
    size_t size, n;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(fds); i++)
        fds[i] = ends[0];
    assert_int_equal(channel_send(ends[0], "x", 1, fds, BASE_ARRAY_SIZE(fds)), 0);
    n = n_open();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){n + 5, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(channel_receive(ends[1], record, sizeof(record), &size, &got), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(got.n_fds, 0);
    assert_int_equal(n_open(), n);
}

static void control_data_other_than_descriptors_is_refused(void **state) {
    struct channel_fds got;
    char record[8];
    size_t size;
    int on = 1, fd = 0;

    (void)state;
    assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
    assert_int_equal(channel_send(ends[0], "x", 1, &fd, 1), 0);
    assert_int_equal(channel_receive(ends[1], record, sizeof(record), &size, &got), -EBADMSG);
}

static void a_closed_peer_is_an_error_and_no_signal(void **state) {
    struct channel_fds got;
    char record[8];
    size_t size = 99;

    (void)state;
    base_close_fd(&ends[0]);
    assert_int_equal(channel_receive(ends[1], record, sizeof(record), &size, &got), 0);
    assert_int_equal(size, 0);
    assert_int_equal(channel_send(ends[1], "x", 1, NULL, 0), -EPIPE);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(a_record_arrives_complete_with_its_descriptors, open_ends,
                                    close_ends),
    cmocka_unit_test_setup_teardown(truncated_records_leave_nothing_open, open_ends, close_ends),
    cmocka_unit_test_setup_teardown(truncated_descriptors_leave_nothing_open, open_ends,
                                    close_ends),
    cmocka_unit_test_setup_teardown(control_data_other_than_descriptors_is_refused, open_ends,
                                    close_ends),
    cmocka_unit_test_setup_teardown(a_closed_peer_is_an_error_and_no_signal, open_ends, close_ends),
};

TEST_MAIN(tests)
