/* The service and hostile or faulty clients: they affect nobody else. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "launcher/inherit.h"
#include "launcher/options.h"
#include "launcher/request.h"
#include "tests/fuse-file.h"
#include "tests/integration/harness.h"
#include "utsbroker/channel.h"
#include "utsbroker/launch.h"
#include "utsbroker/protocol.h"
#include "utsbroker/resource.h"

static struct test_service service;

/*
 * Runs @act in a new process as the user; returns 0 if the process ended with 0, which means
 * success.
 */
static int as_client(void (*act)(void *context), void *context) {
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        harness_become(USER_WITHOUT_NAME);
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* as a program that the user executed is */
        alarm(50);
        act(context);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* In a client: a false condition ends it with this line's number, cut to an exit status. */
static void check(bool is_so, int line) {
    if (is_so)
        return;
    (void)fprintf(stderr, "client: line %d, errno %d\n", line, errno);
    _exit(1);
}
#define CHECK(condition) check((condition), __LINE__)

static int connected(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, service.path, sizeof(address.sun_path));
    CHECK(connect(channel, (const struct sockaddr *)&address, sizeof(address)) == 0);
    return channel;
}

static const struct protocol_request good_request = {.version = PROTOCOL_VERSION,
                                                     .names = PROTOCOL_HOSTNAME,
                                                     .flags = PROTOCOL_TO_SERVICE,
                                                     .hostname = "x.test"};

/*
 * A launch description of "sh -c SCRIPT" that inherits descriptor @first and the @n - 1 after it.
 */
static int describe(char *script, int first, size_t n) {
    char *command[] = {"sh", "-c", script, NULL}, *environment[] = {"PATH=/usr/bin:/bin", NULL};
    const struct options options = {.hostname = "x.test", .command = command};
    struct inheritance inheritance = {.n_fds = n};
    const struct request_place place = {.inheritance = &inheritance};
    sigset_t mask;
    int fd = -1;

    sigemptyset(&mask);
    inheritance.mask = &mask;
    for (size_t i = 0; i < n; i++)
        inheritance.numbers[i] = first + (int32_t)i;
    CHECK(request_write_launch(&fd, &options, environment, &place) == 0);
    return fd;
}

static int root_folder(void) {
    return open("/", O_PATH | O_CLOEXEC);
}

static void send_good(int channel, char *script) {
    int fds[2] = {describe(script, 0, 0), root_folder()};

    CHECK(channel_send(channel, &good_request, sizeof(good_request), fds, 2) == 0);
    close(fds[0]);
    close(fds[1]);
}

/* PROTOCOL_STATUS_COUNT: the connection ended without a reply. */
static struct protocol_reply reply_of(int channel) {
    struct protocol_reply record, reply = {.status = PROTOCOL_STATUS_COUNT};
    struct pollfd ready = {.fd = channel, .events = POLLIN};
    struct channel_fds fds;
    size_t size = 0;

    CHECK(poll(&ready, 1, 30000) == 1);
    if (channel_receive_surely(channel, &record, sizeof(record), &size, &fds) == 0 && size > 0)
        CHECK(protocol_decode_reply(&record, size, fds.n_fds, &reply) == 0);
    channel_fds_deinit(&fds);
    return reply;
}

/* True if a line of this file of /proc/PID is @wanted. */
static bool process_says(pid_t pid, const char *file, const char *wanted) {
    char path[64], line[256];
    FILE *open_file;
    bool is_there = false;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    open_file = fopen(path, "re");
    while (open_file != NULL && fgets(line, sizeof(line), open_file) != NULL)
        is_there |= strcmp(line, wanted) == 0;
    if (open_file != NULL)
        fclose(open_file);
    return is_there;
}

/* The session that serves the next client, and its gate. */
struct waiting {
    pid_t session, gate;
};

static bool has_ready_session(void *context) {
    struct waiting *waiting = context;
    pid_t children[3];

    if (service_children(service.pid, children, 3) != 2)
        return false;
    for (size_t i = 0; i < 2; i++) {
        if (process_says(children[i], "status", "Seccomp:\t2\n")) {
            waiting->session = children[i];
            waiting->gate = children[1 - i];
            return true;
        }
    }
    return false;
}

static struct waiting ready_session(void) {
    struct waiting waiting = {0}, before;

    /* A session that is about to end looks like the ready session. */
    do {
        before = waiting;
        usleep(30000);
        if (!harness_wait_for(has_ready_session, &waiting))
            fail_msg("no session waits for the next client");
    } while (waiting.session != before.session);
    return waiting;
}

static void assert_others_are_served(void) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "--via", "service", "-n", "x.test", "true"}};
    double begin = harness_now();

    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    assert_true(harness_now() < begin + 1);
}

static size_t n_descriptors_before;

static bool is_as_before(void *context) {
    return has_ready_session(context) &&
           harness_count_descriptors(service.pid) == n_descriptors_before &&
           harness_count_processes(USER_WITHOUT_NAME->uid) == SERVICE_PROCESSES;
}

/* The service has no process and no descriptor left of the test. */
static void assert_as_before(void) {
    struct waiting waiting;

    if (!harness_wait_for(is_as_before, &waiting))
        fail_msg("%zu descriptors, %zu before; %zu processes",
                 harness_count_descriptors(service.pid), n_descriptors_before,
                 harness_count_processes(USER_WITHOUT_NAME->uid));
    assert_others_are_served();
}

/* Sends a record with its descriptors in @n control messages, and the sender's ids in one more. */
static void send_in_parts(int channel, const int *fds, size_t n, bool has_ids) {
    union {
        char bytes[512];
        struct cmsghdr aligned;
    } control = {.bytes = {0}};
    struct iovec bytes = {.iov_base = (void *)(uintptr_t)&good_request,
                          .iov_len = sizeof(good_request)};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    const struct ucred ids = {getpid(), getuid(), getgid()};
    size_t length = 0;

    for (size_t i = 0; i < n; i++, header = CMSG_NXTHDR(&message, header)) {
        *header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(header), &fds[i], sizeof(int));
        length += CMSG_SPACE(sizeof(int));
    }
    if (has_ids) {
        *header = (struct cmsghdr){CMSG_LEN(sizeof(ids)), SOL_SOCKET, SCM_CREDENTIALS};
        memcpy(CMSG_DATA(header), &ids, sizeof(ids));
        length += CMSG_SPACE(sizeof(ids));
    }
    message.msg_controllen = length;
    CHECK(sendmsg(channel, &message, 0) == sizeof(good_request));
}

static void send_descriptors_in_parts(void *context) {
    (void)context;
    for (int i = 0; i < 4; i++) {
        int channel = connected(), fds[4] = {describe("true", 7, 1), root_folder(), 0, 0};

        send_in_parts(channel, fds, i < 2 ? 3 : 4, i % 2 == 1);
        CHECK(reply_of(channel).status == (i < 2 ? PROTOCOL_GRANTED : PROTOCOL_BAD_REQUEST));
        close(channel);
    }
}

/*
 * The client sends the connection over itself: then only the kernel can see that the client has
 * closed it.
 */
static void send_the_connection_itself(void *context) {
    (void)context;
    for (int i = 0; i < 60; i++) {
        int channel = connected(), fds[3] = {channel, root_folder(), channel};

        if (i % 3 > 0)
            fds[0] = describe("true", 7, 1);
        CHECK(channel_send(channel, &good_request, sizeof(good_request), fds, 3) == 0);
        if (i % 3 < 2)
            CHECK(reply_of(channel).status ==
                  (i % 3 == 0 ? PROTOCOL_BAD_REQUEST : PROTOCOL_GRANTED));
        for (size_t j = 0; j < 2; j++)
            if (fds[j] != channel)
                close(fds[j]);
        close(channel);
    }
}

/* As many descriptors as one record can carry. */
static void inherit_as_many_as_possible(void *context) {
    enum { N = CHANNEL_FDS_MAX - 2 };
    int channel = connected(), fds[CHANNEL_FDS_MAX];
    struct protocol_reply reply;
    size_t n = 0;

    (void)context;
    fds[0] = describe("exec sleep 60", 0, N);
    fds[1] = root_folder();
    for (size_t i = 2; i < CHANNEL_FDS_MAX; i++)
        fds[i] = 0;
    CHECK(channel_send(channel, &good_request, sizeof(good_request), fds, CHANNEL_FDS_MAX) == 0);
    reply = reply_of(channel);
    CHECK(reply.status == PROTOCOL_GRANTED);
    /* One more for a moment, when a loader reads a file. */
    for (int i = 0; i < 500 && (n = harness_count_descriptors(reply.pid)) != N; i++)
        usleep(10000);
    CHECK(n == N);
    CHECK(kill(reply.pid, SIGKILL) == 0);
}

static void descriptors_may_come_in_any_number_of_control_messages(void **state) {
    (void)state;
    assert_int_equal(as_client(send_descriptors_in_parts, NULL), 0);
    assert_int_equal(as_client(send_the_connection_itself, NULL), 0);
    assert_int_equal(as_client(inherit_as_many_as_possible, NULL), 0);
    assert_as_before();
}

static int sealed(const char *bytes, size_t size) {
    int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK(write(fd, bytes, size) == (ssize_t)size);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0);
    return fd;
}

/* A malformed launch description ends its own gate only; the replies have only these statuses. */
static void send_random_descriptions(void *context) {
    static const uint32_t edges[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 253, 254, 1 << 20};
    unsigned seed = 47;
    char good[4096];
    int fd = describe("true", 7, 1);
    ssize_t size = pread(fd, good, sizeof(good) - 64, 0);
    unsigned *n_of_status = context;

    for (int i = 0; i < 400; i++) {
        int channel = connected(), fds[3] = {-1, root_folder(), 0};
        size_t length = (size_t)size - (i % 7 == 0 ? (size_t)rand_r(&seed) % 100 : 0);
        char bytes[sizeof(good)];
        unsigned status;

        memcpy(bytes, good, sizeof(bytes));
        for (int j = rand_r(&seed) % 3; j >= 0 && i % 2 == 0; j--)
            bytes[rand_r(&seed) % size] = (char)rand_r(&seed);
        if (i % 2 == 1) /* change a field of the header, or a descriptor's number */
            memcpy(bytes + 4 * (rand_r(&seed) % 47),
                   &edges[(size_t)rand_r(&seed) % BASE_ARRAY_SIZE(edges)], 4);
        fds[0] = sealed(bytes, length);
        CHECK(channel_send(channel, &good_request, sizeof(good_request), fds, 3) == 0);
        status = reply_of(channel).status;
        CHECK(status == PROTOCOL_GRANTED || status == PROTOCOL_BAD_REQUEST ||
              status == PROTOCOL_EXEC_FAILED || status == PROTOCOL_KERNEL_REFUSED);
        n_of_status[status]++;
        for (size_t j = 0; j < 2; j++)
            close(fds[j]);
        close(channel);
    }
}

static void descriptions_of_any_content_affect_only_their_gate(void **state) {
    unsigned *n = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_int_equal(as_client(send_random_descriptions, n), 0);
    print_message("of 400: %u granted, %u no request, %u not executed, %u refused by the kernel\n",
                  n[PROTOCOL_GRANTED], n[PROTOCOL_BAD_REQUEST], n[PROTOCOL_EXEC_FAILED],
                  n[PROTOCOL_KERNEL_REFUSED]);
    assert_true(n[PROTOCOL_GRANTED] > 10 && n[PROTOCOL_BAD_REQUEST] > 10);
    munmap(n, 4096);
    assert_as_before();
}

/* A launch description may set the stack limit only up to the caller's own hard limit. */
static void ask_for_more_stack(void *context) {
    const struct rlimit small = {4 << 20, 8 << 20};
    rlim_t wanted = *(const rlim_t *)context;
    int channel = connected(), fds[2] = {-1, root_folder()};
    char bytes[4096];
    ssize_t size = pread(describe("true", 0, 0), bytes, sizeof(bytes), 0);
    struct protocol_reply reply;

    CHECK(setrlimit(RLIMIT_STACK, &small) == 0);
    memcpy(bytes + offsetof(struct launch_header, stack_limit), &wanted, sizeof(wanted));
    fds[0] = sealed(bytes, (size_t)size);
    CHECK(channel_send(channel, &good_request, sizeof(good_request), fds, 2) == 0);
    reply = reply_of(channel);
    if (wanted <= small.rlim_max)
        CHECK(reply.status == PROTOCOL_GRANTED);
    else
        CHECK(reply.status == PROTOCOL_KERNEL_REFUSED && reply.error == EINVAL);
}

static void a_description_raises_no_limit(void **state) {
    rlim_t wanted[] = {4 << 20, 8 << 20, (8 << 20) + 1, (rlim_t)1 << 40, RLIM_INFINITY};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(wanted); i++)
        assert_int_equal(as_client(ask_for_more_stack, &wanted[i]), 0);
    assert_as_before();
}

static struct protocol_reply ask_with(uint32_t flags, int cwd, int terminal) {
    struct protocol_request request = good_request;
    int channel = connected(), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int fds[4] = {describe("true", 0, 0), cwd, terminal, null};
    struct protocol_reply reply;

    request.flags |= flags;
    CHECK(channel_send(channel, &request, sizeof(request), fds, terminal >= 0 ? 4 : 2) == 0);
    reply = reply_of(channel);
    close(channel);
    close(null);
    close(fds[0]);
    return reply;
}

static void offer_terminals(void *context) {
    struct protocol_reply reply;
    int master, slave, dead_master, dead_slave;
    pid_t owner;

    (void)context;
    CHECK(openpty(&master, &slave, NULL, NULL, NULL) == 0);
    CHECK(openpty(&dead_master, &dead_slave, NULL, NULL, NULL) == 0);
    close(dead_master);
    owner = fork();
    if (owner == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        CHECK(setsid() > 0 && ioctl(slave, TIOCSCTTY, 0) == 0);
        for (;;)
            pause();
    }
    for (int i = 0; i < 500 && tcgetsid(master) != owner; i++)
        usleep(10000);
    /* A terminal of another session, which keeps it; one that has hung up; the wrong end of one. */
    reply = ask_with(PROTOCOL_HAS_TERMINAL, root_folder(), slave);
    CHECK(reply.status == PROTOCOL_KERNEL_REFUSED && reply.error == EPERM);
    CHECK(tcgetsid(master) == owner);
    reply = ask_with(PROTOCOL_HAS_TERMINAL, root_folder(), dead_slave);
    CHECK(reply.status == PROTOCOL_KERNEL_REFUSED && reply.error == EIO);
    CHECK(kill(owner, SIGKILL) == 0 && waitpid(owner, NULL, 0) == owner);
}

static void offer_folders(void *context) {
    const char *folder = context;
    char path[256];
    int fd;
    struct protocol_reply reply;

    CHECK(chdir(folder) == 0 && mkdir("gone", 0700) == 0 && mkdir("closed", 0700) == 0);
    fd = open("gone", O_PATH | O_CLOEXEC);
    CHECK(rmdir("gone") == 0);
    CHECK(ask_with(0, fd, -1).status == PROTOCOL_GRANTED); /* fchdir(2) permits it too */
    fd = open("closed", O_PATH | O_CLOEXEC);
    CHECK(chmod("closed", 0) == 0);
    reply = ask_with(0, fd, -1);
    CHECK(reply.status == PROTOCOL_KERNEL_REFUSED && reply.error == EACCES);
    snprintf(path, sizeof(path), "%s/closed", folder);
    CHECK(rmdir(path) == 0);
}

static void invalid_terminals_and_folders_are_refused(void **state) {
    char folder[] = "/tmp/test-misuse-XXXXXX";

    (void)state;
    assert_int_equal(as_client(offer_terminals, NULL), 0);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chown(folder, USER_WITHOUT_NAME->uid, USER_WITHOUT_NAME->gid), 0);
    assert_int_equal(as_client(offer_folders, folder), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_as_before();
}

/* A socket whose last close(2) blocks for twenty seconds (SO_LINGER): its peer reads nothing. */
static int slow_to_close(int listener) {
    const struct linger linger = {.l_onoff = 1, .l_linger = 20};
    static const char bytes[65536];
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    CHECK(connect(fd, (const struct sockaddr *)&address, size) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
    while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
    CHECK(errno == EAGAIN);
    return fd;
}

/* Where in the request the slow descriptor is. */
enum slow {
    BEHIND_A_REQUEST,
    BEHIND_ONE_THAT_IS_DENIED,
    IN_ONE_THAT_IS_TOO_LONG,
    IN_ONE_THAT_IS_BAD,
    IN_ONE_THAT_IS_DENIED,
    IN_PLACE_OF_ITS_DESCRIPTION,
    SLOW_COUNT
};

struct slow_client {
    enum slow slow;
    int listener;
};

static void send_slow(int channel, enum slow slow, int slow_fd) {
    struct {
        struct protocol_request request;
        char more[8];
    } record = {.request = good_request};
    bool is_behind = slow == BEHIND_A_REQUEST || slow == BEHIND_ONE_THAT_IS_DENIED;
    int fds[3] = {describe("sleep 0.2", 7, is_behind ? 0 : 1), root_folder(), slow_fd};

    if (slow == BEHIND_ONE_THAT_IS_DENIED || slow == IN_ONE_THAT_IS_DENIED)
        snprintf(record.request.hostname, sizeof(record.request.hostname), "not.permitted");
    if (slow == IN_ONE_THAT_IS_BAD)
        record.request.flags = ~0U;
    if (slow == IN_PLACE_OF_ITS_DESCRIPTION)
        fds[0] = slow_fd;
    CHECK(channel_send(channel, &record,
                       slow == IN_ONE_THAT_IS_TOO_LONG ? sizeof(record) : sizeof(record.request),
                       fds, is_behind ? 2 : 3) == 0);
    if (is_behind) /* the reply may have come earlier */
        (void)channel_send(channel, "x", 1, &slow_fd, 1);
}

/* The descriptor in the socket's queue is the last one, after this process has closed its own. */
static void send_slow_descriptors(void *context) {
    const struct slow_client *client = context;
    int channel = connected(), slow_fd = slow_to_close(client->listener);
    unsigned status;

    send_slow(channel, client->slow, slow_fd);
    close(slow_fd);
    status = reply_of(channel).status;
    CHECK((status == PROTOCOL_GRANTED) == (client->slow == BEHIND_A_REQUEST));
}

static int loopback_listen(void) {
    const struct sockaddr_in loopback = {.sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (const struct sockaddr *)&loopback, sizeof(loopback)), 0);
    assert_int_equal(listen(fd, 100), 0);
    return fd;
}

static void a_descriptor_that_is_slow_to_close_delays_nobody(void **state) {
    CLEANUP_FD int listener = loopback_listen();

    (void)state;
    for (int i = 0; i < 3 * SLOW_COUNT; i++) {
        struct slow_client client = {(enum slow)(i % SLOW_COUNT), listener};

        if (as_client(send_slow_descriptors, &client) != 0)
            fail_msg("case %d", i % SLOW_COUNT);
        assert_others_are_served();
    }
    assert_as_before();
}

/* Asks many times from a confinement, each time with a descriptor whose close(2) takes for ever. */
struct confined_asker {
    const char *path;
    int done;
};

enum { HANGING_REQUESTS = 300 };

static _Noreturn void ask_confined(const struct confined_asker *asker) {
    int fds[3] = {-1, root_folder(), -1};

    harness_become(USER_WITHOUT_NAME);
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    fds[0] = describe("true", 7, 1);
    fds[2] = open(asker->path, O_RDONLY | O_CLOEXEC);
    CHECK(fds[0] >= 0 && fds[2] >= 0);
    for (int i = 0; i < HANGING_REQUESTS; i++) {
        int channel = connected();

        CHECK(channel_send(channel, &good_request, sizeof(good_request), fds, 3) == 0);
        if (i % 2 == 0) /* else it has disconnected before it is refused */
            CHECK(reply_of(channel).status == PROTOCOL_CALLER_CONFINED);
        close(channel);
    }
    CHECK(write(asker->done, "x", 1) == 1);
    _exit(0); /* hangs, too */
}

static void a_confined_client_leaves_no_process_for_each_request(void **state) {
    struct fuse_file file;
    struct confined_asker asker = {.path = file.path};
    struct pollfd done = {.events = POLLIN};
    size_t n_processes;
    int ends[2];
    pid_t pid;

    (void)state;
    if (!fuse_file_open(&file, FUSE_NO_FLUSH)) {
        print_message("skipped: no /dev/fuse\n");
        skip();
    }
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    asker.done = ends[1];
    done.fd = ends[0];
    pid = fork();
    if (pid == 0)
        ask_confined(&asker);
    close(ends[1]);
    if (poll(&done, 1, 40000) != 1 || done.revents != POLLIN)
        print_error("the client did not finish\n");
    assert_others_are_served();
    usleep(500000);
    n_processes = harness_count_processes(USER_WITHOUT_NAME->uid);
    fuse_file_abort(&file);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(ends[0]);
    printf("%d requests, %zu processes more\n", HANGING_REQUESTS,
           n_processes - SERVICE_PROCESSES - 1);
    assert_true(n_processes <= SERVICE_PROCESSES + 1 + 8);
    assert_as_before();
}

/* How long ten launches take, in seconds. */
static double time_of_launches(void) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "--via", "service", "-n", "x.test", "true"}};
    double begin = harness_now();

    for (int i = 0; i < 10; i++) {
        harness_run(&run, &result);
        harness_assert_exit(&result, 0);
    }
    return harness_now() - begin;
}

/* Keeps so many connections that are silent; one that ends is made anew. For ever. */
static _Noreturn void stay_silent(size_t n) {
    struct pollfd all[256] = {{.fd = -1}};

    harness_become(USER_WITHOUT_NAME);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0); /* it could not be served */
    for (size_t i = 0; i < n; i++)
        all[i] = (struct pollfd){.fd = connected(), .events = POLLIN};
    for (;;) {
        CHECK(poll(all, n, -1) > 0);
        for (size_t i = 0; i < n; i++)
            if (all[i].revents != 0) {
                close(all[i].fd);
                all[i].fd = connected();
            }
        usleep(100000);
    }
}

static void silent_clients_slow_nobody(void **state) {
    double alone, among;
    pid_t pid;

    (void)state;
    sleep(3); /* while a policy is new, each request reads it again and gets a new session */
    alone = time_of_launches();
    pid = fork();
    if (pid == 0)
        stay_silent(200);
    usleep(300000);
    among = time_of_launches();
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    printf("a launch: %.1f ms alone, %.1f ms among 200 silent clients\n", alone * 100, among * 100);
    assert_true(among < 5 * alone + 0.05);
    assert_as_before();
}

/* The reverse: a request for the service is invalid for a broker of the direct mode. */
static void ask_broker_as_a_service(void *context) {
    int ends[2], fds[2] = {describe("true", 0, 0), root_folder()};
    pid_t pid;

    (void)context;
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    pid = fork();
    if (pid == 0) {
        char *const argv[] = {BROKER_PATH, "--session-fd", "200", NULL};

        CHECK(dup2(ends[1], 200) == 200);
        execv(argv[0], argv);
        CHECK(false);
    }
    close(ends[1]);
    CHECK(channel_send(ends[0], &good_request, sizeof(good_request), fds, 2) == 0);
    CHECK(reply_of(ends[0]).status == PROTOCOL_BAD_REQUEST);
    while (wait(NULL) > 0) /* the broker and the gate */
        ;
}

static void a_request_for_one_mode_is_invalid_in_the_other(void **state) {
    (void)state;
    assert_int_equal(as_client(ask_broker_as_a_service, NULL), 0);
    assert_as_before();
}

/* Connects, asks for a command that stays alive, and disconnects; @context says when. */
enum hangup { BEFORE_ITS_SESSION_LOOKS, WITH_THE_REPLY_UNREAD };

static void ask_and_disconnect(void *context) {
    int channel = connected();
    struct pollfd ready = {.fd = channel, .events = POLLIN};

    send_good(channel, "exec sleep 60");
    if (*(const enum hangup *)context == WITH_THE_REPLY_UNREAD)
        CHECK(poll(&ready, 1, 10000) == 1);
    else
        usleep(20000); /* until the service has passed the connection to the session; without this
                          pause the test shows less */
}

static bool one_command_lives(void *context) {
    pid_t children[4];
    size_t n = service_children(service.pid, children, 4);

    *(pid_t *)context = 0;
    for (size_t i = 0; i < n; i++)
        if (process_says(children[i], "comm", "sleep\n"))
            *(pid_t *)context = children[i];
    return n == 3 && *(pid_t *)context != 0;
}

static void a_disconnected_client_has_a_command_only_if_the_reply_was_sent(void **state) {
    enum hangup when;

    (void)state;
    sleep(3); /* while a policy is new, each request reads it again and gets a new session */
    for (int i = 0; i < 20; i++) {
        struct waiting waiting = ready_session();

        when = BEFORE_ITS_SESSION_LOOKS;
        assert_int_equal(kill(waiting.session, SIGSTOP), 0);
        assert_int_equal(as_client(ask_and_disconnect, &when), 0);
        assert_int_equal(kill(waiting.session, SIGCONT), 0);
        assert_as_before();
    }
    for (int i = 0; i < 20; i++) {
        pid_t command;

        when = WITH_THE_REPLY_UNREAD;
        assert_int_equal(as_client(ask_and_disconnect, &when), 0);
        assert_true(harness_wait_for(one_command_lives, &command));
        if (i == 0)
            assert_others_are_served();
        assert_int_equal(kill(command, SIGTERM), 0);
        assert_as_before();
    }
}

static long memory_of_service(void) {
    char path[64], line[256];
    long kib = -1;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)service.pid);
    file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        (void)sscanf(line, "VmRSS: %ld", &kib);
    fclose(file);
    return kib;
}

/* Reads nothing until its command has ended; then everything, the reply first. */
static void read_nothing_for_long(void *context) {
    int channel = connected();
    unsigned *n_stops = context;
    struct protocol_notice record, notice;
    struct channel_fds fds;
    struct pollfd hangup = {.fd = channel, .events = 0};
    size_t size;

    send_good(channel, "exec sleep 60");
    CHECK(poll(&hangup, 1, 40000) ==
          1); /* the service has sent everything and closed the connection */
    CHECK(reply_of(channel).status == PROTOCOL_GRANTED);
    while (channel_receive(channel, &record, sizeof(record), &size, &fds) == 0 && size > 0) {
        CHECK(protocol_decode_notice(&record, size, fds.n_fds, &notice) == 0);
        *n_stops += WIFSTOPPED(notice.wait_status);
        CHECK(!WIFEXITED(notice.wait_status));
    }
}

static void a_client_that_reads_no_notices_costs_nothing(void **state) {
    unsigned *n = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    long memory = memory_of_service();
    pid_t client = fork(), command;
    int status;

    (void)state;
    if (client == 0)
        _exit(as_client(read_nothing_for_long, n) == 0 ? 0 : 1);
    assert_true(harness_wait_for(one_command_lives, &command));
    for (int i = 0; i < 600; i++) {
        assert_int_equal(kill(command, SIGSTOP), 0);
        usleep(15000); /* the service checks for stops every ten milliseconds */
        assert_int_equal(kill(command, SIGCONT), 0);
        if (i % 100 == 99)
            assert_others_are_served();
    }
    assert_int_equal(kill(command, SIGKILL), 0);
    assert_int_equal(waitpid(client, &status, 0), client);
    assert_int_equal(status, 0);
    print_message("of 600 stops the socket kept %u\n", *n);
    assert_true(*n > 100 && *n < 500);
    munmap(n, 4096);
    assert_true(memory_of_service() < memory + 256);
    assert_as_before();
}

static unsigned long cpu_ticks(pid_t pid) {
    char path[64], text[1024] = "";
    unsigned long user = 0, kernel = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    assert_non_null(file);
    (void)!fgets(text, sizeof(text), file);
    fclose(file);
    (void)sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                 &user, &kernel);
    return user + kernel;
}

static void have_a_command(void *context) {
    struct protocol_notice notice;
    int channel = connected();

    send_good(channel, context);
    CHECK(reply_of(channel).status == PROTOCOL_GRANTED);
    CHECK(recv(channel, &notice, sizeof(notice), 0) == sizeof(notice));
    CHECK(WIFSIGNALED(notice.wait_status) && WTERMSIG(notice.wait_status) == SIGKILL);
}

/* Only the tracer can reap a dead process that it traces, until it detaches. */
static void a_dead_command_with_a_tracer_costs_nothing(void **state) {
    char script[] = "exec sleep 60";
    pid_t client = fork(), command;
    unsigned long ticks;
    int status;

    (void)state;
    if (client == 0)
        _exit(as_client(have_a_command, script) == 0 ? 0 : 1);
    assert_true(harness_wait_for(one_command_lives, &command));
    assert_int_equal(ptrace(PTRACE_SEIZE, command, NULL, NULL), 0);
    assert_int_equal(kill(command, SIGKILL), 0);
    assert_true(harness_wait_for_state(command, "Z"));
    ticks = cpu_ticks(service.pid);
    for (int i = 0; i < 10; i++) {
        assert_others_are_served();
        usleep(100000);
    }
    assert_true(cpu_ticks(service.pid) - ticks < 20); /* 0.2 s of more than a second */
    assert_int_equal(waitpid(client, &status, WNOHANG), 0);
    assert_int_equal(waitpid(command, &status, __WALL), command);
    assert_int_equal(waitpid(client, &status, 0), client);
    assert_int_equal(status, 0);
    assert_as_before();
}

/*
 * The command asks its parent, the service, to trace it (PTRACE_TRACEME). The service traces no
 * process and must not be delayed.
 */
static void a_command_that_makes_its_parent_its_tracer_runs_on(void **state) {
    static struct result result;
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "--via", "service", "-n", "x.test", PROBE_PATH, "have-me-traced"}};

    (void)state;
    for (int i = 0; i < 5; i++) {
        harness_run(&run, &result);
        harness_assert_exit(&result, 0);
    }
    assert_as_before();
}

/* Sets the next pid to @pid, or to a higher one if that is in use (pid_namespaces(7)). */
static void set_next_pid(pid_t pid) {
    FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "we");

    assert_non_null(file);
    assert_true(fprintf(file, "%d", (int)pid - 1) > 0);
    assert_int_equal(fclose(file), 0);
}

/* The session of a live command has ended, and an orphan gets the session's pid. */
static void an_orphan_with_the_pid_of_a_session_is_reaped(void **state) {
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "--via", "service", "-n", "x.test", PROBE_PATH, "leave-an-orphan"}};
    pid_t session = ready_session().session, pid, command;
    unsigned long ticks;
    int output, errors, status;

    (void)state;
    pid = harness_start(&run, &output, &errors);
    assert_int_equal(sscanf(harness_read_line(output), "ready %d", &command), 1);
    (void)usleep(200000); /* until there is a ready session */
    assert_int_equal(harness_process_state(session), '-');
    set_next_pid(session - 1);
    assert_int_equal(kill(command, SIGUSR1), 0);
    (void)usleep(50000);
    if (harness_process_state(session) == '-')
        print_message("the orphan has another pid: the wanted one was in use\n");
    (void)usleep(200000);
    ticks = cpu_ticks(service.pid);
    assert_true(harness_wait_for_state(session, "-"));
    (void)usleep(300000);
    assert_true(cpu_ticks(service.pid) - ticks < 10);
    assert_int_equal(kill(command, SIGUSR1), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(output);
    close(errors);
    assert_as_before();
}

struct wanted_limit {
    pid_t pid;
    resource_limit resource;
    rlim_t soft; /* RLIM_INFINITY: the hard limit */
};

/* As the user, who may limit their own service. */
static void set_limit(void *context) {
    const struct wanted_limit *wanted = context;
    struct rlimit limit;

    CHECK(prlimit(wanted->pid, wanted->resource, NULL, &limit) == 0);
    limit.rlim_cur = wanted->soft < limit.rlim_max ? wanted->soft : limit.rlim_max;
    CHECK(prlimit(wanted->pid, wanted->resource, &limit, NULL) == 0);
}

static void limit_process(pid_t pid, resource_limit resource, rlim_t soft) {
    struct wanted_limit wanted = {pid, resource, soft};

    assert_int_equal(as_client(set_limit, &wanted), 0);
}

/*
 * A service that cannot make a process says so, does not use the processor, and serves again when
 * it can.
 */
static void without_processes_it_says_so_and_stays_idle(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "--via", "service", "-n", "x.test", "true"}};
    unsigned long ticks;

    (void)state;
    limit_process(service.pid, RLIMIT_NPROC, 1);
    assert_int_equal(kill(ready_session().session, SIGKILL), 0);
    ticks = cpu_ticks(service.pid);
    for (int i = 0; i < 4; i++) {
        usleep(500000);
        harness_run(&run, &result);
        harness_assert_exit(&result, 125);
        if (strstr(result.errors, "too many processes") == NULL)
            fail_msg("%s", result.errors);
    }
    assert_true(cpu_ticks(service.pid) - ticks < 10); /* 0.1 s of two seconds */
    limit_process(service.pid, RLIMIT_NPROC, RLIM_INFINITY);
    assert_as_before();
}

/*
 * Many requests at once; none waits without end, and all are granted if the service could not even
 * accept them.
 */
static void ask_sixteen_times(void *context) {
    int channels[16];

    for (size_t i = 0; i < BASE_ARRAY_SIZE(channels); i++) {
        channels[i] = connected();
        send_good(channels[i], "true");
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(channels); i++) {
        unsigned status = reply_of(channels[i]).status;

        CHECK(*(const rlim_t *)context > 3 || status == PROTOCOL_GRANTED);
    }
}

static void without_descriptors_it_stays_idle_and_serves_again(void **state) {
    static const rlim_t limits[] = {3, 6, 8, 9, 10, 11, 12, 14};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(limits); i++) {
        rlim_t limit = limits[i];
        unsigned long ticks;
        int status;
        pid_t client, session;

        (void)ready_session();
        limit_process(service.pid, RLIMIT_NOFILE, limit);
        ticks = cpu_ticks(service.pid);
        client = fork();
        if (client == 0)
            _exit(as_client(ask_sixteen_times, &limit) == 0 ? 0 : 1);
        usleep(300000);
        assert_true(cpu_ticks(service.pid) - ticks < 10);
        limit_process(service.pid, RLIMIT_NOFILE, RLIM_INFINITY);
        assert_int_equal(waitpid(client, &status, 0), client);
        if (status != 0)
            fail_msg("at most %d descriptors: wait status 0x%x", (int)limit, status);
        /* The ready session was made under the limit, which it keeps. */
        session = ready_session().session;
        assert_int_equal(kill(session, SIGKILL), 0);
        assert_true(harness_wait_for_state(session, "-"));
        assert_as_before();
    }
}

static bool is_request_served(void *context) {
    (void)context;
    return harness_count_descriptors(service.pid) >= n_descriptors_before + 3;
}

/*
 * The session waits stopped with its client. The service is stopped, too, while the session goes on
 * and grants; then the service finds its deadline over, and all that the session has said.
 */
static void a_grant_while_the_service_was_stopped_counts(void **state) {
    struct waiting waiting;
    int to_client[2];
    pid_t client;
    int status;

    (void)state;
    assert_true(harness_wait_for(is_as_before, &waiting));
    assert_int_equal(pipe(to_client), 0);
    assert_int_equal(kill(waiting.session, SIGSTOP), 0);
    client = fork();
    if (client == 0) {
        struct protocol_notice notice = {.version = 0};
        struct protocol_reply reply;
        struct channel_fds fds;
        size_t size = 0;
        int channel, sent[2];

        harness_become(USER_WITHOUT_NAME);
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        alarm(50);
        channel = connected();
        sent[0] = describe("exec sleep 60", 0, 0);
        sent[1] = root_folder();
        CHECK(channel_send(channel, &good_request, sizeof(good_request), sent, 2) == 0);
        reply = reply_of(channel);
        CHECK(reply.status == PROTOCOL_GRANTED);
        CHECK(read(to_client[0], &size, 1) == 1);
        CHECK(kill(reply.pid, SIGTERM) == 0);
        CHECK(channel_receive(channel, &notice, sizeof(notice), &size, &fds) == 0);
        CHECK(size == sizeof(notice) && notice.wait_status == SIGTERM);
        _exit(0);
    }
    sleep(1); /* the session has its client, and the service waits for its word */
    assert_int_equal(kill(service.pid, SIGSTOP), 0);
    assert_int_equal(kill(waiting.session, SIGCONT), 0);
    sleep(16); /* longer than a session may take to decide */
    assert_int_equal(kill(service.pid, SIGCONT), 0);
    assert_others_are_served();
    assert_int_equal(write(to_client[1], "", 1), 1);
    assert_int_equal(waitpid(client, &status, 0), client);
    assert_int_equal(status, 0);
    close(to_client[0]);
    close(to_client[1]);
    assert_as_before();
}

/* A stopped session delays nobody, and is killed after fifteen seconds. */
static void a_stopped_session_is_killed(void **state) {
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "--via", "service", "-n", "x.test", "true"}};
    struct waiting waiting = ready_session();
    double begin = harness_now();
    int output, errors, status;
    pid_t pid;

    (void)state;
    assert_int_equal(kill(waiting.session, SIGSTOP), 0);
    pid = harness_start(&run, &output, &errors);
    assert_true(harness_wait_for(is_request_served, NULL));
    for (int i = 0; i < 12 || harness_now() < begin + 13; i++) {
        assert_others_are_served();
        assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
        usleep(i < 12 ? 0 : 500000);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 125 << 8);
    assert_true(harness_now() > begin + 14 && harness_now() < begin + 18);
    assert_string_equal(
        harness_read_line(errors),
        "utsrun: the service ended before it replied; try again, or use --via direct");
    close(output);
    close(errors);
    assert_as_before();
}

static bool has_new_zygote(void *context) {
    pid_t zygote = service_zygote(service.pid);

    return zygote != 0 && zygote != *(const pid_t *)context;
}

static void a_killed_or_stopped_zygote_is_replaced(void **state) {
    static const int signals[] = {SIGKILL, SIGSTOP, SIGTERM, SIGSTOP};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(signals); i++) {
        unsigned long ticks;
        pid_t before = 0;

        assert_true(harness_wait_for(has_new_zygote, &before));
        before = service_zygote(service.pid);
        ticks = cpu_ticks(service.pid);
        assert_int_equal(kill(before, signals[i]), 0);
        usleep(300000);
        assert_true(cpu_ticks(service.pid) - ticks < 10); /* 0.1 s of 0.3 seconds */
        for (int j = 0; j < 5; j++)
            assert_others_are_served();
        /* The zygote blocks SIGTERM: it lives on, and is not replaced. */
        if (signals[i] == SIGTERM)
            continue;
        assert_true(harness_wait_for(has_new_zygote, &before));
        assert_as_before();
    }
}

/*
 * While a policy is new, as after its installation, each client makes the service read it again and
 * replace the ready session.
 */
static int set_up(void **state) {
    struct stat status;

    while (stat(POLICY_FOLDER_VENDOR, &status) == 0 && time(NULL) < status.st_ctime + 4)
        usleep(100000);
    return harness_set_up(state);
}

static int begin(void **state) {
    char *const options[] = {"--idle-exit", "0", NULL};
    char path[108];

    (void)state;
    snprintf(path, sizeof(path), "%s/%u.sock", RUN_FOLDER, (unsigned)USER_WITHOUT_NAME->uid);
    service_start(&service, USER_WITHOUT_NAME, path, options);
    assert_others_are_served(); /* the first request takes longer */
    (void)ready_session();
    usleep(100000);
    n_descriptors_before = harness_count_descriptors(service.pid);
    return 0;
}

/* A service without commands stops at once. */
static int forget(void **state) {
    int status = 0;
    pid_t ended = 0;

    (void)state;
    (void)kill(service.pid, SIGTERM);
    for (int i = 0; i < 500 && ended == 0; i++) {
        usleep(10000);
        ended = waitpid(service.pid, &status, WNOHANG);
    }
    if (ended == 0) {
        (void)kill(service.pid, SIGKILL);
        while (waitpid(-1, NULL, 0) >
               0) /* and the orphans that it leaves: this process is a subreaper */
            ;
    }
    close(service.listen_fd);
    (void)unlink(service.path);
    if (ended != service.pid || status != 0)
        fail_msg("the service did not stop within five seconds; wait status 0x%x", status);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    return 0;
}

#define OF_A_SERVICE(test) cmocka_unit_test_setup_teardown(test, begin, forget)

static const struct CMUnitTest tests[] = {
    OF_A_SERVICE(descriptors_may_come_in_any_number_of_control_messages),
    OF_A_SERVICE(descriptions_of_any_content_affect_only_their_gate),
    OF_A_SERVICE(a_description_raises_no_limit),
    OF_A_SERVICE(invalid_terminals_and_folders_are_refused),
    OF_A_SERVICE(a_request_for_one_mode_is_invalid_in_the_other),
    OF_A_SERVICE(a_descriptor_that_is_slow_to_close_delays_nobody),
    OF_A_SERVICE(a_confined_client_leaves_no_process_for_each_request),
    OF_A_SERVICE(silent_clients_slow_nobody),
    OF_A_SERVICE(a_disconnected_client_has_a_command_only_if_the_reply_was_sent),
    OF_A_SERVICE(a_client_that_reads_no_notices_costs_nothing),
    OF_A_SERVICE(a_dead_command_with_a_tracer_costs_nothing),
    OF_A_SERVICE(a_command_that_makes_its_parent_its_tracer_runs_on),
    OF_A_SERVICE(an_orphan_with_the_pid_of_a_session_is_reaped),
    OF_A_SERVICE(without_processes_it_says_so_and_stays_idle),
    OF_A_SERVICE(without_descriptors_it_stays_idle_and_serves_again),
    OF_A_SERVICE(a_grant_while_the_service_was_stopped_counts),
    OF_A_SERVICE(a_stopped_session_is_killed),
    OF_A_SERVICE(a_killed_or_stopped_zygote_is_replaced),
};

TEST_MAIN_AS_ROOT(tests, set_up, harness_tear_down)
