#include "broker/service/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/service/reply.h"
#include "broker/service/service-log.h"
#include "broker/service/service.h"
#include "broker/session/session.h"
#include "utsbroker/base.h"
#include "utsbroker/protocol.h"

/* How long a client may say nothing, and a session may take to decide (it refuses after ten). */
enum {
    SILENCE_MS = 5000,
    UNDECIDED_MS = 15000,
    BUSY_MS = 50, /* a session that takes longer than this waits for something else */
};

static int client_watch(struct client *client, enum watch_kind kind, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = &client->watches[kind]};

    client->watches[kind] = (struct watch){.kind = kind, .client = client};
    return epoll_ctl(client->service->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Closing takes a descriptor out of epoll(7) only if no session has a copy of it. */
static void client_forget(struct client *client, int *fdp) {
    if (*fdp >= 0)
        (void)epoll_ctl(client->service->epoll, EPOLL_CTL_DEL, *fdp, NULL);
    base_close_fd(fdp);
}

static void client_hang_up(struct client *client) {
    if (client->connection < 0)
        return;
    (void)epoll_ctl(client->service->epoll, EPOLL_CTL_DEL, client->connection, NULL);
    connection_close(&client->connection);
}

static void child_is_not_held(struct client *client, struct child *child) {
    if (child->is_held)
        client->service->n_held--;
    child->is_held = false;
}

static void client_close_control(struct client *client) {
    if (client->control >= 0)
        client->service->n_talking--;
    client_forget(client, &client->control);
}

static void client_free(struct client *client) {
    client_hang_up(client);
    client_close_control(client);
    child_is_not_held(client, &client->session);
    child_is_not_held(client, &client->command);
    client_forget(client, &client->session.pidfd);
    client_forget(client, &client->command.pidfd);
    if (client->is_counted)
        counters_give_back(&client->service->counters, client->counter);
    client_list_remove(client);
    free(client);
}

/*
 * Takes over @connection and waits until something can be read from it; it
 * is not read here. Returns 0 or a negative errno, with the connection closed.
 */
int client_new(struct service *service, int connection) {
    struct client *client = calloc(1, sizeof(*client));
    int r;

    if (client == NULL) {
        (void)close(connection);
        return -ENOMEM;
    }
    *client = (struct client){.service = service,
                              .connection = connection,
                              .control = -1,
                              .session.pidfd = -1,
                              .command.pidfd = -1,
                              .deadline = service_now() + SILENCE_MS};
    client_list_append(client, &service->silent);
    r = client_watch(client, WATCH_CONNECTION, connection, EPOLLIN);
    if (r < 0)
        client_free(client);
    return r;
}

static int child_watch(struct client *client, enum watch_kind kind, struct child *child,
                       pid_t pid) {
    int r = child_init(child, pid);

    return r < 0 ? r : client_watch(client, kind, child->pidfd, EPOLLIN);
}

/*
 * From the session, before it has read a stranger's byte. Without a pidfd there is no command: it
 * is killed, and reaped as one that could not be had.
 */
static int client_take_command(struct client *client, uint32_t pid) {
    siginfo_t info;
    int r;

    if (pid == 0)
        return 0;
    if (pid > INT32_MAX || waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return -EBADMSG;
    r = child_watch(client, WATCH_COMMAND, &client->command, (pid_t)pid);
    if (r < 0) {
        (void)kill((pid_t)pid, SIGKILL); /* a child of ours that nobody has reaped */
        client_forget(client, &client->command.pidfd);
        client->command = (struct child){.pid = (pid_t)pid, .pidfd = -1, .is_held = true};
        client->service->n_held++;
    }
    return r;
}

static int session_start(struct client *client, bool is_late) {
    struct epoll_event hangup = {.data.ptr = &client->watches[WATCH_CONNECTION]};
    struct spare session;
    int r;

    if (epoll_ctl(client->service->epoll, EPOLL_CTL_MOD, client->connection, &hangup) < 0)
        return -errno;
    r = spawn_take(client->service, client->connection, is_late, &session);
    if (r < 0)
        return r;
    client->control = session.control;
    client->service->n_talking++;
    client->service->busy_until = service_now() + BUSY_MS;
    client->has_reported = session.has_reported;
    r = child_watch(client, WATCH_SESSION, &client->session, session.pid);
    if (r == 0 && session.gate != 0)
        r = client_take_command(client, (uint32_t)session.gate);
    if (r == 0)
        r = client_watch(client, WATCH_CONTROL, client->control, EPOLLIN);
    /* Not reaped yet, so the pids are their own; both are reaped as nobody's. */
    if (r < 0)
        (void)kill(session.pid, SIGKILL);
    if (r < 0 && session.gate != 0)
        (void)kill(session.gate, SIGKILL);
    return r;
}

/*
 * Lets a session serve @client, which has said something or, if @is_late, nothing for too long. The
 * session decides by the policy as it is now.
 */
void client_dispatch(struct client *client, bool is_late) {
    int r;

    service_refresh_policy(client->service);
    client_list_move(client, &client->service->undecided);
    client->deadline = service_now() + UNDECIDED_MS;
    r = session_start(client, is_late);
    if (r < 0) {
        connection_refuse(client->connection, r);
        client_free(client);
    }
}

/*
 * Tells the launcher how the command ended, as soon as it knows of it; when the session has said
 * all, too, nothing is left to be done. @client may be gone afterwards.
 */
static void client_settle(struct client *client) {
    bool is_alive = client->command.pid != 0 && !client->command.has_ended;

    if (client->is_granted && client->command.has_ended) {
        connection_notify(client->connection, client->command.wait_status);
        client_hang_up(client);
    }
    if (client->owes_end && client->command.has_ended &&
        (client->is_granted || client->control < 0)) {
        service_log_end(client->service, client->command.pid, client->command.wait_status);
        client->owes_end = false;
    }
    if (client->control < 0 && !is_alive)
        client_free(client);
}

/* From a session that may have been taken over: it can have this one client counted, or not. */
static int client_count(struct client *client, uint32_t counter) {
    uint8_t has_room;

    if (client->is_counted)
        return -EBADMSG;
    has_room = counters_take(&client->service->counters, counter) == 0;
    client->is_counted = has_room != 0;
    client->counter = counter;
    return send(client->control, &has_room, sizeof(has_room), MSG_DONTWAIT | MSG_NOSIGNAL) < 0
               ? -errno
               : 0;
}

/* The launcher has ended. Its command lives on, unless it said otherwise. */
static void client_is_left(const struct client *client) {
    if (client->dies_with_launcher)
        child_signal(&client->command, SIGKILL);
}

static int control_obey(struct client *client, const struct session_message *message) {
    switch ((enum session_word)message->word) {
    case SESSION_HAS_GATE:
        if (client->has_reported)
            return -EBADMSG;
        client->has_reported = true;
        return client_take_command(client, message->value);
    case SESSION_COUNTS:
        return client_count(client, message->value);
    case SESSION_DECIDED:
        client_list_move(client, &client->service->decided);
        client->owes_end = true;
        return 0;
    case SESSION_FAILED:
        client->owes_end = false;
        return 0;
    case SESSION_GRANTED:
        client->is_granted = true;
        client->dies_with_launcher = message->value != 0;
        if (client->connection < 0)
            client_is_left(client);
        if (client->stop_signal != 0)
            client_note_stop(client, client->stop_signal);
        return 0;
    default:
        return -EBADMSG;
    }
}

/* The session has said all, or has died. If it has not granted, its gate is to end. */
static void control_is_closed(struct client *client) {
    client_close_control(client);
    client_list_move(client, &client->service->decided);
    if (!client->is_granted) {
        /* Whatever became of it, nobody has been told that it is a command of theirs. */
        child_signal(&client->command, SIGKILL);
        client_hang_up(client);
    } else if (client->service->kill_at != 0) {
        client_end(client, SIGTERM);
    }
}

/*
 * Reads one message. False if there is none (any more). A session that speaks nonsense is ended,
 * and one whose gate cannot be watched or that cannot be heard: before it can say much.
 */
static bool control_read(struct client *client) {
    struct session_message message;
    bool had_reported = client->has_reported;
    int r = -EBADMSG;
    ssize_t n = spawn_receive(client->control, &message);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n < 0)
        child_signal(&client->session, SIGKILL);
    if (n <= 0) {
        control_is_closed(client);
        return false;
    }
    if (n == sizeof(message))
        r = control_obey(client, &message);
    if (r < 0)
        child_signal(&client->session, SIGKILL);
    if (r < 0 && r != -EBADMSG && !had_reported)
        connection_refuse(client->connection, r);
    return true;
}

/*
 * Reaps @child if it can be had. One that a tracer holds shows that it has ended, again and again:
 * it is looked at when the next child has changed.
 */
static void child_has_ended(struct client *client, struct child *child) {
    child_reap(child);
    if (child->has_ended) {
        child_is_not_held(client, child);
        client_forget(client, &child->pidfd);
    } else if (child->pidfd >= 0 && !child->is_held) {
        child->is_held = true;
        client->service->n_held++;
        (void)epoll_ctl(client->service->epoll, EPOLL_CTL_DEL, child->pidfd, NULL);
    }
}

/* Some child has changed. @client may be gone afterwards. */
void client_retry(struct client *client) {
    if (client->session.is_held)
        child_has_ended(client, &client->session);
    if (!client->command.is_held)
        return;
    child_has_ended(client, &client->command);
    client_settle(client);
}

static void connection_is_ready(struct client *client, uint32_t events) {
    bool is_silent = client->list == &client->service->silent;

    /* Before a session has it, nobody waits for an answer; later, a command lives without. */
    if ((events & (EPOLLHUP | EPOLLERR)) == 0 && is_silent)
        client_dispatch(client, false);
    else if (is_silent)
        client_free(client);
    else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        client_hang_up(client);
        client_is_left(client);
    }
}

/* Does what is to be done about what epoll(7) says; @client may be gone afterwards. */
void client_handle(struct client *client, enum watch_kind kind, uint32_t events) {
    switch (kind) {
    case WATCH_CONNECTION:
        connection_is_ready(client, events);
        break;
    case WATCH_CONTROL:
        (void)control_read(client);
        client_settle(client);
        break;
    case WATCH_SESSION:
        child_has_ended(client, &client->session);
        break;
    case WATCH_COMMAND:
        child_has_ended(client, &client->command);
        client_settle(client);
        break;
    default:
        break;
    }
}

/*
 * The deadline of a client that is silent or undecided has passed; it may be gone afterwards. A
 * session that is killed says nothing more, and may take for ever to end: as long as a stranger's
 * descriptor takes to be closed.
 */
void client_expire(struct client *client) {
    if (client->list == &client->service->silent) {
        client_dispatch(client, true);
        return;
    }
    child_signal(&client->session, SIGKILL);
    control_is_closed(client);
    client_settle(client);
}

/* The command was stopped by @signal_number: the launcher is told, behind the reply. */
void client_note_stop(struct client *client, int signal_number) {
    if (!client->is_granted) {
        client->stop_signal = signal_number;
        return;
    }
    client->stop_signal = 0;
    connection_notify(client->connection, W_STOPCODE(signal_number));
}

/*
 * The service stops: a command gets @signal_number, with all of its process group, which the gate
 * made for it; where a session still works, when that has ended. @client may be gone afterwards.
 */
void client_end(struct client *client, int signal_number) {
    if (client->list == &client->service->silent) {
        client_free(client);
        return;
    }
    if (client->control >= 0) {
        if (signal_number == SIGKILL)
            child_signal(&client->session, SIGKILL);
        return;
    }
    if (client->command.is_held && signal_number == SIGKILL) {
        client_free(client); /* dead, and somebody's who traces it */
        return;
    }
    if (client->command.pid == 0 || client->command.has_ended)
        return;
    (void)kill(-client->command.pid, signal_number);
    child_signal(&client->command, signal_number);
    child_signal(&client->command, SIGCONT);
}
