/* Connections on which a stranger left what cannot be closed: the processes that hang are few. */

#include "broker/service/closer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/fuse-file.h"
#include "tests/test.h"
#include "utsbroker/channel.h"

enum { CONNECTIONS = 300 };

static struct loop loop;
static struct reaper reaper;
static struct closer closer;

static void run_loop(int milliseconds) {
    int64_t end = loop_now() + milliseconds;

    while (loop_now() < end) {
        if (loop_run_once(&loop, false) == LOOP_E_IDLE)
            usleep(1000);
        reaper_take_news(&reaper);
    }
}

/* A connection with @fd in its queue, which has the last copy of it. The peer is *@peerp. */
static int connection_with(int fd, int *peerp) {
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(channel_send(ends[1], "x", 1, &fd, fd >= 0 ? 1 : 0), 0);
    if (fd >= 0)
        close(fd);
    *peerp = ends[1];
    return ends[0];
}

static void assert_peer_sees_the_end(int peer) {
    struct pollfd ready = {.fd = peer, .events = POLLIN};

    assert_int_equal(poll(&ready, 1, 0), 1);
    assert_true((ready.revents & POLLHUP) != 0);
}

static int set_up(void **state) {
    (void)state;
    assert_int_equal(loop_init(&loop), 0);
    reaper_init(&reaper, &loop);
    closer_init(&closer, &reaper);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    closer_deinit(&closer);
    loop_deinit(&loop);
    return 0;
}

static void an_ordinary_connection_is_closed_and_leaves_nothing(void **state) {
    int connection, peer, ends[2];

    (void)state;
    for (int i = 0; i < 20; i++) {
        connection = connection_with(open("/dev/null", O_RDONLY | O_CLOEXEC), &peer);
        closer_close(&closer, &connection);
        assert_int_equal(connection, -1);
        assert_peer_sees_the_end(peer);
        close(peer);
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    closer_close(&closer, &ends[0]);
    assert_peer_sees_the_end(ends[1]);
    close(ends[1]);
    run_loop(200);
    assert_int_equal(closer.n, 0);
    assert_int_equal(closer.n_holders, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child */
}

/*
 * Makes a page of the file dirty when the other end of @control is written to. Not this process:
 * a holder would inherit its descriptor, and hang earlier.
 */
static pid_t dirtier_start(const char *path, int control) {
    pid_t pid = fork();
    char byte = 0, *page;
    int fd;

    if (pid != 0)
        return pid;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 4096) != 0)
        _exit(1);
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)!write(control, &byte, 1);
    (void)!read(control, &byte, 1);
    *(volatile char *)page = 'x';
    (void)!write(control, &byte, 1);
    (void)!read(control, &byte, 1);
    _exit(0);
}

static void connections_that_hang_cost_few_processes(void **state) {
    static int connections[CONNECTIONS], peers[CONNECTIONS];
    struct fuse_file file;
    int control[2], ordinary, peer;
    pid_t dirtier;
    char byte = 0;
    int64_t begin;

    (void)state;
    if (!fuse_file_open(&file, FUSE_NO_WRITE)) {
        print_message("skipped: no /dev/fuse\n");
        skip();
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
    dirtier = dirtier_start(file.path, control[1]);
    assert_int_equal(read(control[0], &byte, 1), 1);
    for (int i = 0; i < CONNECTIONS; i++)
        connections[i] = connection_with(open(file.path, O_RDWR | O_CLOEXEC), &peers[i]);
    assert_int_equal(write(control[0], &byte, 1), 1);
    assert_int_equal(read(control[0], &byte, 1), 1);
    begin = loop_now();
    for (int i = 0; i < CONNECTIONS; i++) {
        closer_close(&closer, &connections[i]);
        assert_peer_sees_the_end(peers[i]);
        run_loop(1);
    }
    assert_true(loop_now() < begin + 5000);
    printf("%d connections: %zu processes hang, %zu descriptors wait\n", CONNECTIONS,
           closer.n_holders, closer.n);
    assert_true(closer.n_holders >= 4 && closer.n_holders <= 8);
    ordinary = connection_with(open("/dev/null", O_RDONLY | O_CLOEXEC), &peer);
    closer_close(&closer, &ordinary);
    assert_peer_sees_the_end(peer);
    fuse_file_abort(&file);
    assert_int_equal(write(control[0], &byte, 1), 1);
    run_loop(500);
    assert_int_equal(closer.n, 0);
    assert_int_equal(closer.n_holders, 0);
    for (int i = 0; i < CONNECTIONS; i++)
        close(peers[i]);
    close(peer);
    close(control[0]);
    close(control[1]);
    (void)waitpid(dirtier, NULL, 0);
}

/* Without a process to be had the connection is closed at once: what is in its queue may be the
 * pipe that somebody reads to its end. */
static void without_processes_it_closes_by_itself(void **state) {
    struct rlimit limit;
    int connection, peer, status, ends[2];
    char byte;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NPROC, &limit), 0);
    limit.rlim_cur = 0;
    if (fork() == 0) { /* the limit is not root's */
        if (setresuid(54399, 54399, 54399) != 0 || setrlimit(RLIMIT_NPROC, &limit) != 0 ||
            pipe(ends) != 0)
            _exit(3);
        connection = connection_with(ends[1], &peer);
        closer_close(&closer, &connection);
        if (closer.n != 0 || closer.n_holders != 0)
            _exit(1);
        /* connection_with() has closed its own copy. */
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 2);
    }
    assert_true(wait(&status) > 0);
    assert_int_equal(status, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_ordinary_connection_is_closed_and_leaves_nothing),
    cmocka_unit_test(connections_that_hang_cost_few_processes),
    cmocka_unit_test(without_processes_it_closes_by_itself),
};

TEST_MAIN_AS_ROOT(tests, set_up, tear_down)
