#include "broker/spawn.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/audit.h"
#include "broker/gate.h"
#include "broker/peer.h"
#include "broker/service.h"
#include "broker/session.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"

enum {
    PAUSE_MAX_MS = 10000,
    PAUSE_MS = 100,        /* behind a failure */
    LOOKUP_AGE_MS = 10000, /* SESSION_PATIENCE_SECONDS */
    SILENCE_SECONDS = 5,   /* how long a client may say nothing */
};

/*
 * What the child of fork(2) is: a session and no more of the service. It holds the channels of no
 * client, so that nobody's end is hidden from them.
 */
static _Noreturn void be_session(const struct service *service, int control, bool is_ahead) {
    const struct session_service of_service = {.control = control,
                                               .is_ahead = is_ahead,
                                               .rulebook = &service->rulebook,
                                               .counters = service->counters.of_rule};
    const struct session_setup setup = {.channel = -1, .service = &of_service};

    /* 0, 1 and 2 are /dev/null, but 2 may be the service manager's log. */
    if (dup2(0, 2) < 0 ||
        (control > 3 && syscall(SYS_close_range, 3, (unsigned)control - 1, 0) < 0) ||
        syscall(SYS_close_range, (unsigned)control + 1, ~0U, 0) < 0)
        _exit(SESSION_EXIT_REFUSED);
    session_run(&setup);
}

/* Its first word is all that it says before it has a client. */
static void spare_unwatch(struct service *service) {
    (void)epoll_ctl(service->epoll, EPOLL_CTL_DEL, service->spare.control, NULL);
}

/* Learns what the spare session's gate is, as soon as it says so: no child may be taken for
 * another. */
void spawn_hear(struct service *service) {
    struct spare *spare = &service->spare;
    struct session_message message;
    ssize_t n;

    if (spare->pid == 0 || spare->has_reported)
        return;
    n = recv(spare->control, &message, sizeof(message), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    spare_unwatch(service);
    /* Else it has died, of which spawn_look() hears. */
    if (n == sizeof(message) && message.word == SESSION_HAS_GATE) {
        spare->gate = (pid_t)message.value;
        spare->has_reported = true;
    }
}

/* Ends the spare session, which has had no client, if there is one, and its gate. */
void spawn_drop(struct service *service) {
    struct spare *spare = &service->spare;
    pid_t pids[2];

    spawn_hear(service);
    pids[0] = spare->pid;
    pids[1] = spare->gate;
    /* Neither is reaped by anybody else, so each pid is its own. */
    for (size_t i = 0; i < BASE_ARRAY_SIZE(pids); i++) {
        if (pids[i] != 0) {
            (void)kill(pids[i], SIGKILL);
            (void)waitpid(pids[i], NULL, 0);
        }
    }
    spare_unwatch(service);
    base_close_fd(&spare->control);
    *spare = (struct spare)SPARE_NULL;
}

/* There is no hurry: one is made when it is needed. The next failure makes it wait for twice as
 * long. */
static void spare_pause(struct service *service) {
    int64_t longer = service->spare_pause * 2;

    service->spare_pause = longer < PAUSE_MS       ? PAUSE_MS
                           : longer > PAUSE_MAX_MS ? PAUSE_MAX_MS
                                                   : longer;
    service->no_spare_before = service_now() + service->spare_pause;
}

/* Some child has ended: forgets the spare session if it, or its gate, is that one. */
void spawn_look(struct service *service) {
    struct spare *spare = &service->spare;

    spawn_hear(service);
    if (spare->pid != 0 && waitpid(spare->pid, NULL, WNOHANG) == spare->pid)
        spare->pid = 0;
    else if (spare->gate != 0 && waitpid(spare->gate, NULL, WNOHANG) == spare->gate)
        spare->gate = 0;
    else
        return;
    /* Once it has begun, somebody has killed it, and the next one can be had. */
    if (spare->has_reported)
        service->spare_pause = 0;
    spawn_drop(service);
    spare_pause(service);
}

static int spare_make(struct service *service, bool is_ahead) {
    static struct watch watch = {.kind = WATCH_SPARE};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &watch};
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        be_session(service, ends[1], is_ahead);
    if (pid < 0) {
        int error = errno;

        (void)close(ends[0]);
        (void)close(ends[1]);
        return -error;
    }
    (void)close(ends[1]);
    service->spare = (struct spare){.pid = pid,
                                    .control = ends[0],
                                    .policy = service->policy_generation,
                                    .made_at = service_now()};
    if (epoll_ctl(service->epoll, EPOLL_CTL_ADD, ends[0], &event) < 0) {
        int error = errno;

        spawn_drop(service);
        return -error;
    }
    return 0;
}

/* Makes a session ahead, unless that has just failed: then one is made when it is needed. */
void spawn_ahead(struct service *service) {
    if (service->spare.pid == 0 && service->no_spare_before <= service_now() &&
        spare_make(service, true) < 0)
        spare_pause(service);
}

/*
 * A session that has looked up users and groups knows them as they were then. As in direct mode,
 * what has changed since holds a few seconds later.
 */
static bool spare_is_good(const struct service *service) {
    const struct spare *spare = &service->spare;

    return spare->pid != 0 && spare->policy == service->policy_generation &&
           (!service->policy_has_names || service_now() - spare->made_at < LOOKUP_AGE_MS);
}

/* The kernel asks for a limit of processes where one is made, which is behind us: so it is asked
 * now. */
static int processes_check(const struct limits *limits) {
    const struct rlimit *theirs = &limits->all[RLIMIT_NPROC];
    struct rlimit own, lowered;
    int r;

    /* To no less than theirs has the spare session been held, as the service has not more. */
    if (getrlimit(RLIMIT_NPROC, &own) < 0)
        return -errno;
    if (theirs->rlim_cur >= own.rlim_cur)
        return 0;
    lowered = (struct rlimit){.rlim_cur = theirs->rlim_cur, .rlim_max = own.rlim_max};
    if (setrlimit(RLIMIT_NPROC, &lowered) < 0)
        return -errno;
    r = gate_check_limit();
    return setrlimit(RLIMIT_NPROC, &own) < 0 ? -errno : r;
}

/* Looks at who has connected, and connects to the log on the session's behalf, which cannot. */
static int client_examine(const struct service *service, int connection, bool is_late,
                          struct session_client *client, int *log_fdp) {
    const struct timeval patience = {.tv_sec = is_late ? 0 : SILENCE_SECONDS, .tv_usec = 1};
    struct peer peer = {.groups_differ = false};
    struct audit audit = AUDIT_NULL;

    client->is_late = is_late;
    client->peer = peer_examine(&peer, connection, &service->subject, &service->reference);
    if (client->peer == 0)
        client->peer = processes_check(&peer.limits);
    client->groups_differ = peer.groups_differ;
    client->limits = peer.limits;
    client->log = audit_open(&audit, AUDIT_SOCKET);
    client->log_is_stream = audit.is_stream;
    *log_fdp = audit.fd;
    /* For the session: how long it waits for the request. */
    return setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ? -errno
                                                                                            : 0;
}

/*
 * Gives @connection to a session, which serves it from now on. Returns 0 with @session the
 * caller's; a negative errno, and no session has it.
 */
int spawn_take(struct service *service, int connection, bool is_late, struct spare *session) {
    struct session_client client = {.is_late = 0};
    CLEANUP_FD int log_fd = -1;
    int r = client_examine(service, connection, is_late, &client, &log_fd);

    if (r < 0)
        return r;
    /* The spare may have been killed; one that is made now was not. */
    for (int i = 0; i < 2; i++) {
        const int fds[] = {connection, log_fd};

        if (!spare_is_good(service)) {
            spawn_drop(service);
            r = spare_make(service, false);
            if (r < 0)
                return r;
        }
        r = channel_send(service->spare.control, &client, sizeof(client), fds, log_fd >= 0 ? 2 : 1);
        if (r != -EPIPE && r != -ECONNRESET)
            break;
        spawn_drop(service);
    }
    if (r < 0)
        return r; /* the spare has heard nothing, and stays for who comes next */
    spawn_hear(service);
    spare_unwatch(service);
    service->spare_pause = 0;
    *session = service->spare;
    service->spare = (struct spare)SPARE_NULL;
    return 0;
}
