/*
 * A client of the service that does what no launcher does: client PATH SCENARIO [N]. Prints what
 * the service answers, a line each: "status N errno M", "notice N", "end".
 */

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "launcher/inherit.h"
#include "launcher/options.h"
#include "launcher/request.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

static const char *path;

static int connect_to_service(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(channel, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        perror("connect");
        exit(2);
    }
    return channel;
}

static struct protocol_request good_request(void) {
    return (struct protocol_request){.version = PROTOCOL_VERSION,
                                     .names = PROTOCOL_HOSTNAME,
                                     .flags = PROTOCOL_TO_SERVICE,
                                     .hostname = "x.test"};
}

/* A description of "sh -c SCRIPT" that inherits the @n numbers. */
static int describe(char *script, const int32_t *numbers, size_t n) {
    char *command[] = {"sh", "-c", script, NULL}, *environment[] = {"PATH=/usr/bin:/bin", NULL};
    const struct options options = {.hostname = "x.test", .command = command};
    struct inheritance inheritance = {.n_fds = n};
    sigset_t mask;
    const struct request_place place = {.inheritance = &inheritance};
    int fd = -1;

    sigemptyset(&mask);
    inheritance.mask = &mask;
    if (n > 0)
        memcpy(inheritance.numbers, numbers, n * sizeof(numbers[0]));
    if (request_write_launch(&fd, &options, environment, &place) < 0)
        exit(3);
    return fd;
}

/* Prints everything until the end, or until the reply alone. */
static int answers_print(int channel, bool all) {
    for (;;) {
        union {
            struct protocol_reply reply;
            struct protocol_notice notice;
        } record = {.reply = {.version = 0}};
        struct channel_fds fds;
        size_t size;
        int r = channel_receive(channel, &record, sizeof(record), &size, &fds);

        if (r == -ECONNRESET) /* told once, and what was said before comes behind it (unix(7)) */
            r = channel_receive(channel, &record, sizeof(record), &size, &fds);
        if (r < 0 || size == 0) {
            printf("end\n");
            return 0;
        }
        channel_fds_deinit(&fds);
        if (size == sizeof(record.reply))
            printf("status %u errno %d\n", record.reply.status, record.reply.error);
        else
            printf("notice %d\n", record.notice.wait_status);
        fflush(stdout);
        if (!all)
            return (int)record.reply.status;
    }
}

static void send_fds(int channel, const struct protocol_request *request, size_t size, int launch,
                     int cwd, const int *more, size_t n_more) {
    int fds[CHANNEL_FDS_MAX] = {launch, cwd};

    if (n_more > 0)
        memcpy(fds + 2, more, n_more * sizeof(int));
    if (channel_send(channel, request, size, fds, n_more + 2) < 0)
        perror("send");
}

/* Each malformed record on a connection of its own. */
static void records(void) {
    static const struct {
        size_t size, n_fds;
        uint32_t version, flags, names;
    } cases[] = {
        {sizeof(struct protocol_request), 2, PROTOCOL_VERSION, 1, 1}, /* a good one */
        {1, 2, PROTOCOL_VERSION, 1, 1},
        {sizeof(struct protocol_request) - 1, 2, PROTOCOL_VERSION, 1, 1},
        {sizeof(struct protocol_request) + 1, 2, PROTOCOL_VERSION, 1, 1},
        {2 * sizeof(struct protocol_request), 2, PROTOCOL_VERSION, 1, 1},
        {sizeof(struct protocol_request), 0, PROTOCOL_VERSION, 1, 1},
        {sizeof(struct protocol_request), 1, PROTOCOL_VERSION, 1, 1},
        {sizeof(struct protocol_request), 1, PROTOCOL_VERSION, 0, 1}, /* of direct mode */
        {sizeof(struct protocol_request), 2, PROTOCOL_VERSION, 3,
         1}, /* a terminal that is not there */
        {sizeof(struct protocol_request), 3, PROTOCOL_VERSION, 1, 1}, /* one more than described */
        {sizeof(struct protocol_request), 253, PROTOCOL_VERSION, 1, 1},
        {sizeof(struct protocol_request), 2, 1, 1, 1},
        {sizeof(struct protocol_request), 2, PROTOCOL_VERSION,
         PROTOCOL_FLAGS_ALL + 1 + PROTOCOL_TO_SERVICE, 1},
        {sizeof(struct protocol_request), 2, PROTOCOL_VERSION, 1, 0},
        {sizeof(struct protocol_request), 2, PROTOCOL_VERSION, 1, 3},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct protocol_request twice[2] = {good_request()};
        int channel = connect_to_service(), fds[CHANNEL_FDS_MAX];

        for (size_t j = 0; j < CHANNEL_FDS_MAX; j++)
            fds[j] = 0;
        fds[0] = describe("true", NULL, 0);
        fds[1] = open("/", O_PATH | O_CLOEXEC);
        twice[0].version = cases[i].version;
        twice[0].flags = cases[i].flags;
        twice[0].names = cases[i].names;
        if (channel_send(channel, twice, cases[i].size, fds, cases[i].n_fds) < 0)
            perror("send");
        (void)answers_print(channel, false);
        close(channel);
        close(fds[0]);
        close(fds[1]);
    }
}

static int pipe_end(void) {
    int ends[2];

    return pipe(ends) == 0 ? ends[0] : -1;
}

/* Descriptors that are not what they should be, in each place. */
static void kinds(void) {
    const int32_t falling[] = {5, 4}, twice[] = {4, 4}, negative[] = {-1}, huge[] = {1 << 20},
                  good[] = {7};
    const struct protocol_request request = good_request();
    struct protocol_request terminal = good_request();
    int root = open("/", O_PATH | O_CLOEXEC), file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    int unsealed = memfd_create("x", MFD_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int master, slave, pipe_fd = pipe_end();
    const struct {
        int launch, cwd;
        size_t n_more;
    } cases[] = {{describe("true", NULL, 0), root, 0},
                 {file, root, 0},
                 {unsealed, root, 0},
                 {pipe_fd, root, 0},
                 {root, root, 0},
                 {describe("true", NULL, 0), file, 0},
                 {describe("true", NULL, 0), pipe_fd, 0},
                 {describe("true", good, 1), root, 0},
                 {describe("true", good, 1), root, 1},
                 {describe("true", falling, 2), root, 2},
                 {describe("true", twice, 2), root, 2},
                 {describe("true", negative, 1), root, 1},
                 {describe("true", huge, 1), root, 1}};

    if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
        exit(4);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        int channel = connect_to_service();

        send_fds(channel, &request, sizeof(request), cases[i].launch, cases[i].cwd,
                 (int[]){null, null}, cases[i].n_more);
        (void)answers_print(channel, false);
        close(channel);
    }
    terminal.flags |= PROTOCOL_HAS_TERMINAL;
    for (const int *fd = (int[]){null, file, slave, -1}; *fd >= 0; fd++) {
        int channel = connect_to_service();

        send_fds(channel, &terminal, sizeof(terminal), describe("true", NULL, 0), root,
                 (int[]){*fd, null}, 2);
        (void)answers_print(channel, false);
        close(channel);
    }
}

/* @n connections that say nothing; prints what becomes of the last of them. */
static void silent(int n) {
    int channel = -1;

    for (int i = 0; i < n; i++)
        channel = connect_to_service();
    printf("connected\n");
    fflush(stdout);
    (void)answers_print(channel, true);
}

/* Asks, and goes away before (0), or right behind (1) the request, or behind the reply (2). */
static void go_away(int stage) {
    const struct protocol_request request = good_request();
    int channel = connect_to_service(), root = open("/", O_PATH | O_CLOEXEC);

    if (stage > 0)
        send_fds(channel, &request, sizeof(request), describe("exec sleep 60", NULL, 0), root, NULL,
                 0);
    if (stage > 1)
        (void)answers_print(channel, false);
}

/* Asks for SCRIPT, and prints everything; two requests on one connection if @twice. */
static void run(char *script, bool twice) {
    const struct protocol_request request = good_request();
    int channel = connect_to_service(), root = open("/", O_PATH | O_CLOEXEC);

    for (int i = 0; i < (twice ? 2 : 1); i++)
        send_fds(channel, &request, sizeof(request), describe(script, NULL, 0), root, NULL, 0);
    (void)answers_print(channel, true);
}

int main(int argc, char **argv) {
    int n = argc > 3 ? atoi(argv[3]) : 0;

    if (argc < 3)
        return 2;
    path = argv[1];
    if (strcmp(argv[2], "records") == 0)
        records();
    else if (strcmp(argv[2], "kinds") == 0)
        kinds();
    else if (strcmp(argv[2], "silent") == 0)
        silent(n);
    else if (strcmp(argv[2], "go-away") == 0)
        go_away(n);
    else if (strcmp(argv[2], "run") == 0)
        run(argv[3], false);
    else if (strcmp(argv[2], "twice") == 0)
        run(argv[3], true);
    else
        return 2;
    return 0;
}
