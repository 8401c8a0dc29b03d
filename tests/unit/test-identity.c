/* Which process a pidfd means, on this kernel and as older ones tell it. */

#include "broker/ledger/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "tests/test.h"
#include "tests/wrap.h"

static bool is_old; /* as before Linux 6.9: no ioctl(2) of pidfds, and they have no inode */

int __real_ioctl(int fd, unsigned long request, ...) REAL_OF_IOCTL;
int __wrap_ioctl(int fd, unsigned long request, ...) WRAP_OF_IOCTL;
int __real_fstatfs(int fd, struct statfs *status) REAL_OF_FILES("fstatfs");
int __wrap_fstatfs(int fd, struct statfs *status) WRAP_OF_FILES("fstatfs");

int __wrap_ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (is_old) {
        errno = ENOTTY;
        return -1;
    }
    return __real_ioctl(fd, request, argument);
}

int __wrap_fstatfs(int fd, struct statfs *status) {
    int r = __real_fstatfs(fd, status);

    if (r == 0 && is_old)
        status->f_type = 0x09041934; /* ANON_INODE_FS_MAGIC */
    return r;
}

static void begin(bool as_old) {
    bool tells_status;

    is_old = as_old;
    assert_int_equal(identity_init(&tells_status), 0);
    if (as_old)
        assert_false(tells_status);
}

static int pidfd_of(pid_t pid, unsigned flags) {
    int fd = (int)syscall(SYS_pidfd_open, pid, flags);

    assert_true(fd >= 0);
    return fd;
}

static void a_pidfd_is_its_process_and_its_users(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct identity identity, again;
        int fd = pidfd_of(getpid(), 0), other = -1;

        begin(i == 1);
        assert_int_equal(identity_read(&identity, fd, getuid()), 0);
        assert_int_equal(identity.pid, getpid());
        if (i == 1)
            assert_int_equal(identity.start_kind, 't');
        assert_true(identity.start != 0);
        assert_int_equal(identity_read(&again, fd, getuid()), 0);
        assert_int_equal(again.start, identity.start);
        assert_int_equal(identity_read(&again, fd, getuid() + 1), IDENTITY_E_OTHER_USER);
        assert_int_equal(identity_open(&identity, &other), 0);
        close(other);
        identity.start++;
        assert_int_equal(identity_open(&identity, &other), IDENTITY_E_ENDED);
        close(fd);
    }
}

static void *wait_for_end(void *argument) {
    char byte;

    assert_int_equal(read(*(int *)argument, &byte, 1), 0);
    return NULL;
}

static void what_is_no_pidfd_of_a_process_is_told_without_asking_it(void **state) {
    enum { PIDFD_THREAD_FLAG = O_EXCL };
    int pipe_ends[2], sockets[2];
    pthread_t thread;

    (void)state;
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_end, &pipe_ends[0]), 0);
    for (int i = 0; i < 2; i++) {
        const int fds[] = {pipe_ends[0],
                           sockets[0],
                           memfd_create("x", 0),
                           open("/proc/self/status", O_RDONLY),
                           open("/proc/self", O_RDONLY | O_DIRECTORY),
                           open("/", O_PATH),
                           (int)syscall(SYS_pidfd_open, getpid(), PIDFD_THREAD_FLAG)};

        begin(i == 1);
        for (size_t j = 0; j < BASE_ARRAY_SIZE(fds); j++) {
            struct identity identity;

            if (fds[j] < 0) /* PIDFD_THREAD is Linux 6.9's */
                continue;
            if (identity_read(&identity, fds[j], getuid()) != IDENTITY_E_NOT_PIDFD)
                fail_msg("descriptor %zu is taken for a pidfd", j);
            if (j > 1)
                close(fds[j]);
        }
    }
    close(pipe_ends[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void a_process_that_has_ended_is_told(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct identity identity, zombie;
        pid_t pid = fork();
        int fd, other, status;
        siginfo_t info;

        if (pid == 0)
            _exit(5);
        fd = pidfd_of(pid, 0);
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        begin(i == 1);
        assert_true(identity_has_ended(fd));
        (void)identity_read(&zombie, fd, getuid());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(identity_read(&identity, fd, getuid()), IDENTITY_E_ENDED);
        identity = (struct identity){.pid = pid, .start_kind = 'i', .start = 1};
        assert_int_equal(identity_open(&identity, &other), IDENTITY_E_ENDED);
        if (i == 0 && identity_read_status(fd, &status))
            assert_int_equal(status, 5 << 8);
        if (i == 1)
            assert_false(identity_read_status(fd, &status));
        close(fd);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_pidfd_is_its_process_and_its_users),
    cmocka_unit_test(what_is_no_pidfd_of_a_process_is_told_without_asking_it),
    cmocka_unit_test(a_process_that_has_ended_is_told),
};

TEST_MAIN(tests)
