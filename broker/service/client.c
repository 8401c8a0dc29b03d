#include "broker/service/client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/service/caller-description.h"
#include "broker/service/reply.h"
#include "utsbroker/base.h"

enum {
    SILENCE_MS = 5000,     /* how long a client may send no request */
    SESSION_WORDS_MAX = 4, /* HAS_GATE, COUNTS, DECIDED, then GRANTED or FAILED */
};

static void client_report_stop(struct client *client) {
    if (client->state != CLIENT_RUNNING || client->stop_signal == 0)
        return;
    /* W_STOPCODE() of glibc: wait(2)'s status of a process that was stopped. */
    reply_notify(client->connection.fd, client->stop_signal << 8 | 0x7f);
    client->stop_signal = 0;
}

static void client_handle_command(void *argument, int stop_signal) {
    struct client *client = argument;

    if (stop_signal == 0) {
        client_settle(client);
        return;
    }
    client->stop_signal = stop_signal;
    client_report_stop(client);
}

/* Sends @signal_number to the command and to its process group, which the gate made. */
static void client_end_command(struct client *client, int signal_number) {
    const struct child *command = &client->session->gate;

    if (!reaper_is_alive(command))
        return;
    (void)kill(-command->pid, signal_number);
    reaper_signal(command, signal_number);
    reaper_signal(command, SIGCONT);
}

static void client_handle_grant(struct client *client, bool dies_with_launcher) {
    client->dies_with_launcher = dies_with_launcher;
    pool_session_close(client->session); /* it was the session's last message */
    client_change_state(client, CLIENT_RUNNING);
    if (dies_with_launcher && client->connection.fd < 0)
        reaper_signal(&client->session->gate, SIGKILL);
    client_report_stop(client);
    if (client->clients->is_ending)
        client_end_command(client, SIGTERM);
}

/* The session has closed its channel, or has died. If it has not granted the request, nobody was
 * told of a command. */
static void client_handle_session_end(struct client *client) {
    pool_session_close(client->session);
    if (client->state != CLIENT_REFUSED)
        client_change_state(client,
                            client->state == CLIENT_STARTING ? CLIENT_LOST : CLIENT_REFUSED);
    client_hang_up(client);
}

/* Counts the command, once. That is all that an attacker who controls the session can change. */
static int client_count_command(struct client *client, uint32_t counter) {
    uint8_t has_room;

    if (client->is_counted)
        return -EBADMSG;
    has_room = counters_take(&client->clients->policy->counters, counter) == 0;
    client->is_counted = has_room != 0;
    client->counter = counter;
    if (send(client->session->control.fd, &has_room, sizeof(has_room),
             MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return -errno;
    return 0;
}

/* Notes the gate, before the session reads a stranger's byte. A gate that cannot be watched is
 * killed. */
static int client_note_gate(struct client *client, uint32_t pid) {
    int r = pool_session_note_gate(client->session, pid);

    if (r < 0 || pid == 0)
        return r;
    r = reaper_watch(&client->session->gate, client_handle_command, client);
    if (r < 0) {
        reaper_signal(&client->session->gate, SIGKILL);
        reply_refuse(client->connection.fd, r);
    }
    return r;
}

/* The table says which messages a session may send in which state. */
static int client_handle_message(struct client *client, const struct session_message *message) {
    bool is_deciding = client->state == CLIENT_DECIDING;
    bool is_open = is_deciding || client->state == CLIENT_STARTING;

    if (message->word == SESSION_HAS_GATE)
        return client_note_gate(client, message->value);
    if (message->word == SESSION_COUNTS && is_deciding)
        return client_count_command(client, message->value);
    if (message->word == SESSION_DECIDED && is_deciding)
        client_change_state(client, CLIENT_STARTING);
    else if (message->word == SESSION_FAILED && is_open)
        client_change_state(client, CLIENT_REFUSED);
    else if (message->word == SESSION_GRANTED && is_open)
        client_handle_grant(client, message->value != 0);
    else
        return -EBADMSG;
    return 0;
}

/*
 * Receives and handles one message of the session. Returns false if there is none. A session that
 * sends a wrong message, or whose channel fails, is killed.
 */
static bool client_hear_session(struct client *client) {
    struct session_message message;
    ssize_t n = pool_session_receive(client->session, &message);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n < 0 || (n > 0 && (n != sizeof(message) || client_handle_message(client, &message) < 0)))
        reaper_signal(&client->session->process, SIGKILL);
    if (n <= 0)
        client_handle_session_end(client);
    return true;
}

static void client_handle_session(void *argument, uint32_t events) {
    struct client *client = argument;

    (void)events;
    if (client_hear_session(client))
        client_settle(client);
}

static int client_start_session(struct client *client, bool is_late) {
    const struct clients *clients = client->clients;
    struct session_client description;
    CLEANUP_FD int log_fd = -1;
    struct pool_session *session;
    int r = loop_change_source(clients->loop, &client->connection, 0); /* hangups only */

    if (r == 0)
        r = caller_describe(client->connection.fd, is_late, clients->subject, clients->reference,
                            &description, &log_fd);
    if (r == 0)
        r = session_pool_take(clients->pool, &description,
                              (const int[]){client->connection.fd, log_fd}, log_fd >= 0 ? 2 : 1,
                              &client->session);
    if (r < 0)
        return r;
    session = client->session;
    session->control.function = client_handle_session;
    session->control.argument = client;
    r = reaper_watch(&session->process, NULL, NULL);
    if (r == 0 && reaper_is_alive(&session->gate))
        r = reaper_watch(&session->gate, client_handle_command, client);
    if (r == 0)
        r = loop_add_source(clients->loop, &session->control, EPOLLIN);
    if (r < 0) {
        reaper_signal(&session->process, SIGKILL);
        reaper_signal(&session->gate, SIGKILL);
    }
    return r;
}

/*
 * Lets a session serve @client, which is connected, by the policy as it is now. With @is_late it
 * has said nothing for too long. @client may be gone afterwards.
 */
void client_dispatch(struct client *client, bool is_late) {
    int r;

    current_policy_refresh(client->clients->policy);
    client_change_state(client, CLIENT_DECIDING);
    r = client_start_session(client, is_late);
    if (r < 0) {
        reply_refuse(client->connection.fd, r);
        client_free(client);
    }
}

static void client_handle_connection(void *argument, uint32_t events) {
    struct client *client = argument;
    bool is_hangup = (events & (EPOLLHUP | EPOLLERR)) != 0;

    if (client->state == CLIENT_CONNECTED && is_hangup)
        client_free(client);
    else if (client->state == CLIENT_CONNECTED)
        client_dispatch(client, false);
    else if (is_hangup) {
        client_hang_up(client);
        if (client->dies_with_launcher)
            reaper_signal(&client->session->gate, SIGKILL);
    }
}

/*
 * The client has sent no request in time, or its session has not decided in time. The session is
 * killed but not waited for: it may have a stranger's descriptor whose close(2) takes for ever.
 */
static void client_handle_deadline(void *argument) {
    struct client *client = argument;

    if (client->state == CLIENT_CONNECTED) {
        client_dispatch(client, true);
        return;
    }
    /* Messages first: somebody may have stopped the service, but not the session. */
    for (int i = 0; i < SESSION_WORDS_MAX && client->state == CLIENT_DECIDING; i++)
        if (!client_hear_session(client))
            break;
    if (client->state == CLIENT_DECIDING) {
        reaper_signal(&client->session->process, SIGKILL);
        client_handle_session_end(client);
    }
    client_settle(client);
}

/*
 * A new client with @connection, which it takes over, waits for a request. Returns 0 with
 * *@clientp; a negative errno, with @connection closed.
 */
int client_new(struct clients *clients, int connection, struct client **clientp) {
    struct client *client = calloc(1, sizeof(*client));
    int r;

    if (client == NULL) {
        reply_close_connection(&connection);
        return -ENOMEM;
    }
    *client = (struct client){
        .clients = clients,
        .state = CLIENT_CONNECTED,
        .connection = {.fd = connection, .function = client_handle_connection, .argument = client},
        .deadline = {.function = client_handle_deadline, .argument = client}};
    list_append(&clients->in_state[CLIENT_CONNECTED], &client->link, client);
    clients->n++;
    loop_set_timer(clients->loop, &client->deadline, loop_now() + SILENCE_MS);
    r = loop_add_source(clients->loop, &client->connection, EPOLLIN);
    if (r < 0)
        client_free(client);
    else
        *clientp = client;
    return r;
}

/*
 * The service ends. A command gets @signal_number; where a session still works, the command gets
 * SIGTERM when it runs. A command that a tracer holds after its end is not waited for.
 */
static void client_end(struct client *client, int signal_number) {
    bool is_kill = signal_number == SIGKILL;

    if (client->state == CLIENT_CONNECTED ||
        (is_kill && client->session->control.fd < 0 && reaper_is_held(&client->session->gate)))
        client_free(client);
    else if (client->session->control.fd < 0)
        client_end_command(client, signal_number);
    else if (is_kill)
        reaper_signal(&client->session->process, SIGKILL);
}

/* Ends all clients: commands by @signal_number, SIGTERM or SIGKILL. */
void clients_end(struct clients *clients, int signal_number) {
    clients->is_ending = true;
    for (size_t i = 0; i < CLIENT_STATE_COUNT; i++)
        for (struct list_link *link = clients->in_state[i].first, *next; link != NULL;
             link = next) {
            next = link->next;
            client_end(link->owner, signal_number);
        }
}
