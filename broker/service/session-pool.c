#include "broker/service/session-pool.h"

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
#include "broker/service/reaper.h"
#include "broker/session/gate.h"
#include "broker/service/zygote.h"
#include "broker/service/peer.h"
#include "broker/service/service.h"
#include "broker/session/session.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"

enum {
    PAUSE_MAX_MS = 10000,
    PAUSE_MS = 100,        /* behind a failure */
    LOOKUP_AGE_MS = 10000, /* SESSION_PATIENCE_SECONDS */
    SILENCE_SECONDS = 5,   /* how long a client may say nothing */
};

/* Its first word is all that it says before it has a client. */
static void spare_unwatch(struct service *service) {
    (void)epoll_ctl(service->epoll, EPOLL_CTL_DEL, service->spare.control, NULL);
}

static void spare_forget(struct service *service) {
    spare_unwatch(service);
    base_close_fd(&service->spare.control);
    service->spare = (struct spare)SPARE_NULL;
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

/*
 * Receives one message of a session, as recv(2). What there is no memory for may be had the next
 * time: a session that is taken for gone has its command ended, of which the launcher may know.
 */
ssize_t spawn_receive(int control, struct session_message *message) {
    const int tries = 3;
    ssize_t n = -1;

    for (int i = 0; i < tries && n < 0 && (i == 0 || errno != EAGAIN); i++)
        n = recv(control, message, sizeof(*message), MSG_DONTWAIT);
    return n;
}

/* Learns what the spare session and its gate are, as soon as it says so: no child may be taken for
 * another. */
void spawn_hear(struct service *service) {
    struct spare *spare = &service->spare;
    struct session_message message = {.word = SESSION_BEGINS};
    ssize_t n = sizeof(message);

    if (spare->control < 0 || spare->has_reported)
        return;
    while (n == sizeof(message) && message.word == SESSION_BEGINS) {
        n = spawn_receive(spare->control, &message);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n == sizeof(message) && message.word == SESSION_BEGINS)
            spare->pid = (pid_t)message.value;
    }
    spare_unwatch(service);
    if (n == sizeof(message) && message.word == SESSION_HAS_GATE) {
        spare->gate = (pid_t)message.value;
        spare->has_reported = true;
        children_have_news(service); /* either may have died before it was known to be one */
    } else if (spare->pid == 0) {    /* else it has died, of which spawn_look() hears */
        spare_forget(service);
        spare_pause(service);
    }
}

/*
 * Ends the spare session, which has had no client, if there is one, and its gate. One that has not
 * even begun finds its channel closed, and ends.
 */
void spawn_drop(struct service *service) {
    pid_t pids[2];

    spawn_hear(service);
    pids[0] = service->spare.pid;
    pids[1] = service->spare.gate;
    if (service->spare.control >= 0)
        spare_forget(service);
    /* Neither is reaped by anybody else, so each pid is its own. One that cannot be killed ends
     * without its channel, and is reaped as nobody's. */
    for (size_t i = 0; i < BASE_ARRAY_SIZE(pids); i++)
        if (pids[i] != 0 && kill(pids[i], SIGKILL) == 0)
            (void)waitpid(pids[i], NULL, 0);
}

/* Some child has ended: forgets the spare session if it, or its gate, is that one. */
void spawn_look(struct service *service) {
    struct spare *spare = &service->spare;

    nursery_look(&service->nursery);
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

/* The spare session's channel: the session's end is @theirs, and the caller's. */
static int spare_open(struct service *service, int *theirsp) {
    static struct watch watch = {.kind = WATCH_SPARE};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &watch};
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    service->spare = (struct spare){
        .control = ends[0], .policy = service->policy_generation, .made_at = service_now()};
    if (epoll_ctl(service->epoll, EPOLL_CTL_ADD, ends[0], &event) < 0) {
        int error = errno;

        spare_forget(service);
        (void)close(ends[1]);
        return -error;
    }
    *theirsp = ends[1];
    return 0;
}

/* For a client that waits: not by way of the nursery, which would take longer. */
static int spare_fork(struct service *service) {
    CLEANUP_FD int theirs = -1;
    int r = spare_open(service, &theirs);
    pid_t pid;

    if (r < 0)
        return r;
    pid = fork();
    if (pid == 0)
        nursery_be_session(service, theirs, false);
    if (pid < 0) {
        int error = errno;

        spare_forget(service);
        return -error;
    }
    service->spare.pid = pid;
    return 0;
}

/* Has a session made ahead, unless that has just failed: then one is made when it is needed. */
void spawn_ahead(struct service *service) {
    CLEANUP_FD int theirs = -1;
    int r;

    if (service->spare.control >= 0 || service->no_spare_before > service_now())
        return;
    r = spare_open(service, &theirs);
    if (r < 0) {
        spare_pause(service);
        return;
    }
    r = nursery_ask(service, theirs);
    if (r < 0) {
        nursery_drop(&service->nursery);
        spare_forget(service);
        spare_pause(service);
    }
}

/* Too late to report: whoever has stopped it, or the nursery, is not waited for. */
void spawn_expire(struct service *service) {
    nursery_drop(&service->nursery);
    spawn_drop(service);
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
 * now, for the lower of the caller's and the service's. */
static int processes_check(const struct limits *limits) {
    const struct rlimit *theirs = &limits->all[RLIMIT_NPROC];
    struct rlimit own, lowered;
    int r;

    if (getrlimit(RLIMIT_NPROC, &own) < 0)
        return -errno;
    if (theirs->rlim_cur >= own.rlim_cur)
        return gate_check_limit();
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
    client->log = audit_open(&audit, AUDIT_SOCKET, 0);
    client->log_is_stream = audit.is_stream;
    *log_fdp = audit.fd;
    /* For the session: how long it waits for the request. */
    return setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ? -errno
                                                                                            : 0;
}

/* Sends what is known of a client to the spare session; if there is no good one, to a new one. */
static int spare_send(struct service *service, const struct session_client *client, const int *fds,
                      size_t n_fds) {
    int r = 0;

    /* The spare may have been killed; one that is made now was not. */
    for (int i = 0; i < 2; i++) {
        if (!spare_is_good(service)) {
            spawn_drop(service);
            r = spare_fork(service);
            if (r < 0)
                return r;
        }
        r = channel_send(service->spare.control, client, sizeof(*client), fds, n_fds);
        if (r != -EPIPE && r != -ECONNRESET)
            break;
        spawn_drop(service);
    }
    return r;
}

/* One that has been asked for, and has not begun, comes too late for this client. */
static struct spare spare_put_aside(struct service *service) {
    struct spare asked = SPARE_NULL;

    spawn_hear(service);
    if (service->spare.control >= 0 && service->spare.pid == 0) {
        asked = service->spare;
        service->spare = (struct spare)SPARE_NULL;
    }
    return asked;
}

/*
 * Gives @connection to a session, which serves it from now on. Returns 0 with @session the
 * caller's; a negative errno, and no session has it.
 */
int spawn_take(struct service *service, int connection, bool is_late, struct spare *session) {
    struct session_client client = {.is_late = 0};
    struct spare asked;
    CLEANUP_FD int log_fd = -1;
    int r = client_examine(service, connection, is_late, &client, &log_fd);

    if (r < 0)
        return r;
    asked = spare_put_aside(service);
    r = spare_send(service, &client, (const int[]){connection, log_fd}, log_fd >= 0 ? 2 : 1);
    if (r == 0) {
        spawn_hear(service);
        spare_unwatch(service);
        service->spare_pause = 0;
        *session = service->spare;
        service->spare = asked;
    } else if (asked.control >= 0) {
        spawn_drop(service);
        service->spare = asked;
    } /* else what is there has heard nothing, and stays for who comes next */
    return r;
}
