#include "tests/hostile/speaker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "launcher/inherit.h"
#include "launcher/options.h"
#include "launcher/request.h"
#include "utsbroker/channel.h"

/*
 * Becomes @user permanently, like a program that the user executed; SIGALRM ends it after so many
 * seconds.
 */
void speaker_become(const struct user *user, unsigned seconds) {
    harness_become(user);
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    (void)alarm(seconds);
}

/*
 * Like broker_spawn(), for a tracer that follows the broker from the start: it stops before
 * execve(2), until it is continued.
 */
static bool broker_fork_stopped(struct speaker *speaker) {
    char *argv[] = {"utsbroker", "--session-fd", "3", NULL}, *environment[] = {NULL};
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return false;
    speaker->broker = fork();
    if (speaker->broker == 0) {
        if ((ends[1] == 3 ? fcntl(3, F_SETFD, 0) : dup2(ends[1], 3)) >= 0 && raise(SIGSTOP) == 0)
            (void)execve(BROKER_PATH, argv, environment);
        _exit(203);
    }
    (void)close(ends[1]);
    speaker->channel = ends[0];
    return speaker->broker > 0;
}

static bool broker_spawn(struct speaker *speaker) {
    char *argv[] = {"utsbroker", "--session-fd", "3", NULL}, *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    int ends[2], r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ||
        posix_spawn_file_actions_init(&actions) != 0)
        return false;
    r = posix_spawn_file_actions_adddup2(&actions, ends[1], 3);
    if (r == 0)
        r = posix_spawn(&speaker->broker, BROKER_PATH, &actions, NULL, argv, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    speaker->channel = ends[0];
    return r == 0;
}

static bool service_connect(struct speaker *speaker, const struct user *user) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s",
                   harness_service_of(user)->path);
    speaker->channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    return speaker->channel >= 0 &&
           connect(speaker->channel, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

/*
 * Opens a channel to a broker; this process must be @user. Returns false, with errno, on failure.
 */
bool speaker_open(struct speaker *speaker, const struct user *user) {
    *speaker = (struct speaker){.channel = -1};
    return harness_is_service() ? service_connect(speaker, user) : broker_spawn(speaker);
}

/*
 * The same, but the broker of the direct mode stops before its program starts, so that a tracer
 * follows it from its first instruction.
 */
bool speaker_open_stopped(struct speaker *speaker, const struct user *user) {
    *speaker = (struct speaker){.channel = -1};
    return harness_is_service() ? service_connect(speaker, user) : broker_fork_stopped(speaker);
}

/* Returns the status of the reply; PROTOCOL_STATUS_COUNT if the connection ended without one. */
enum protocol_status speaker_hear(const struct speaker *speaker) {
    struct protocol_reply record, reply = {.status = PROTOCOL_STATUS_COUNT};
    struct channel_fds fds;
    size_t size = 0;
    int r = channel_receive(speaker->channel, &record, sizeof(record), &size, &fds);

    if (r == -ECONNRESET) /* told once, and what was said before comes behind it (unix(7)) */
        r = channel_receive(speaker->channel, &record, sizeof(record), &size, &fds);
    if (r == 0 && size > 0 && protocol_decode_reply(&record, size, fds.n_fds, &reply) != 0)
        reply.status = PROTOCOL_STATUS_COUNT;
    channel_fds_deinit(&fds);
    return reply.status;
}

/*
 * Closes the channel, and waits for the children of this process: the broker, which must end by
 * itself, and its gate. Returns false if a signal killed the broker.
 */
bool speaker_close(struct speaker *speaker) {
    bool is_good = true;
    int status;

    base_close_fd(&speaker->channel);
    if (speaker->broker > 0)
        is_good = waitpid(speaker->broker, &status, 0) == speaker->broker && WIFEXITED(status);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    return is_good;
}

/* A request of this mode for @hostname. */
struct protocol_request speaker_request(const char *hostname) {
    struct protocol_request request = {.version = PROTOCOL_VERSION,
                                       .names = PROTOCOL_HOSTNAME,
                                       .flags = harness_is_service() ? PROTOCOL_TO_SERVICE : 0};

    (void)snprintf(request.hostname, sizeof(request.hostname), "%s", hostname);
    return request;
}

/*
 * The number of descriptors that belong to speaker_request(): the description; for the service also
 * a folder.
 */
size_t speaker_fds_needed(void) {
    return harness_is_service() ? 2 : 1;
}

/* A launch description of @command, ended by NULL; -1 on failure. */
int speaker_describe(char *const *command) {
    char *environment[] = {"PATH=/usr/bin:/bin", NULL};
    const struct options options = {.hostname = "x.test", .command = (char **)(uintptr_t)command};
    sigset_t mask;
    struct inheritance inheritance = {.n_fds = 0, .mask = &mask};
    const struct request_place of_service = {.inheritance = &inheritance}, none = {0};
    int fd = -1;

    (void)sigemptyset(&mask);
    if (request_write_launch(&fd, &options, environment,
                             harness_is_service() ? &of_service : &none) < 0)
        return -1;
    return fd;
}

/* Fills @fds with one descriptor of each kind; ends this process on failure. */
void speaker_fds_init(struct speaker_fds *fds) {
    static char *const command[] = {"true", NULL};
    int pipe_ends[2] = {-1, -1}, sockets[2] = {-1, -1};
    int unsealed = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int empty = memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0 ||
        ftruncate(unsealed, 4096) < 0 ||
        fcntl(empty, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        _exit(203);
    base_close_fd(&sockets[1]);
    *fds = (struct speaker_fds){{{"a good one", speaker_describe(command)},
                                 {"a folder", open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)},
                                 {"a folder by O_PATH", open("/", O_PATH | O_CLOEXEC)},
                                 {"a file by O_PATH", open("/etc/passwd", O_PATH | O_CLOEXEC)},
                                 {"a file", open("/etc/passwd", O_RDONLY | O_CLOEXEC)},
                                 {"a pipe's reading end", pipe_ends[0]},
                                 {"a pipe's writing end", pipe_ends[1]},
                                 {"a socket whose other end is closed", sockets[0]},
                                 {"an unsealed memfd", unsealed},
                                 {"a sealed memfd that is empty", empty},
                                 {"an epoll", epoll_create1(EPOLL_CLOEXEC)},
                                 {"/dev/null", open("/dev/null", O_RDWR | O_CLOEXEC)}}};
    for (size_t i = 0; i < SPEAKER_KINDS; i++)
        if (fds->kinds[i].fd < 0)
            _exit(203);
}
