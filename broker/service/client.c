#include "broker/service/client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "broker/service/caller-description.h"
#include "broker/service/command.h"
#include "broker/service/proof.h"
#include "broker/service/reply.h"
#include "utsbroker/base.h"

enum {
    SILENCE_MS = 5000,     /* how long a client may send no request */
    SESSION_WORDS_MAX = 3, /* HAS_GATE, DECIDED, then GRANTED or FAILED */
    AGAIN_MAX = 2,         /* how often another session is tried */
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

static void client_handle_grant(struct client *client, uint32_t bits) {
    client->signal_at_hangup = command_choose_signal(bits);
    client->wants_status = (bits & SESSION_WANTS_STATUS) != 0;
    pool_session_close(client->session); /* it was the session's last message */
    client_change_state(client, CLIENT_RUNNING);
    if (client->has_hung_up)
        command_hang_up(&client->session->gate, client->signal_at_hangup);
    client_report_stop(client);
    if (client->clients->is_ending)
        command_end(&client->session->gate, SIGTERM);
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

/* Notes the gate, before a stranger's byte is read. */
static int client_note_gate(struct client *client, uint32_t pid) {
    int r = pool_session_note_gate(client->session, pid);

    if (r == 0 && pid != 0)
        reaper_watch(&client->session->gate, client_handle_command, client);
    return r;
}

static void client_handle_session(void *argument, uint32_t events);

/* A session that served @client has ended: its copy of the connection is closed. */
static void client_handle_process(void *argument, int stop_signal) {
    struct client *client = argument;

    if (stop_signal != 0)
        return;
    client_close_connection(client);
    client_settle(client);
}

/* Has @client hear of @session, which has nothing of it yet. */
static int client_watch_session(struct client *client, struct pool_session *session) {
    loop_remove_source(client->clients->loop, &session->control);
    session->control.function = client_handle_session;
    session->control.argument = client;
    reaper_watch(&session->process, client_handle_process, client);
    if (reaper_is_alive(&session->gate))
        reaper_watch(&session->gate, client_handle_command, client);
    return loop_add_source(client->clients->loop, &session->control, EPOLLIN);
}

/* Gives @client to a session; to another if the one made ahead has been killed. Returns 0, also if
 * it is to prove something first; a negative errno, and @client has the session that it had. */
static int client_start_session(struct client *client) {
    const struct clients *clients = client->clients;
    CLEANUP_CALLER_DESCRIPTION struct caller_description caller = CALLER_DESCRIPTION_NULL;
    struct pool_session *session;
    int r = loop_change_source(clients->loop, &client->connection, 0); /* hangups only */

    if (r == 0)
        r = caller_describe(&caller, client->connection.fd, clients->subject, clients->reference,
                            client->has_proved);
    if (r < 0)
        return r;
    if (proof_ask(client, &caller, client_dispatch) == PROOF_E_ASKED) {
        client_change_state(client, CLIENT_PROVING);
        return 0;
    }
    r = -EPIPE;
    for (int i = 0; i < 2 && (r == -EPIPE || r == -ECONNRESET); i++) {
        r = session_pool_find(clients->pool, &session);
        if (r < 0)
            return r;
        r = client_watch_session(client, session);
        if (r == 0)
            r = session_pool_give(session, &caller.record,
                                  (const int[]){client->connection.fd, caller.log_fd},
                                  caller.log_fd >= 0 ? 2 : 1);
        if (r < 0)
            session_pool_discard(session);
    }
    if (r == 0)
        client->session = session;
    return r;
}

/*
 * The session has read nothing of the request, and cannot serve it: it has lost the ledger. So may
 * have the one that was made ahead. Another session gets the connection.
 */
static int client_serve_again(struct client *client) {
    struct pool_session *old = client->session;
    int r = -EPIPE;

    if (!old->has_noted_gate)
        return -EBADMSG;
    reaper_signal(&old->process, SIGKILL);
    reaper_signal(&old->gate, SIGKILL);
    session_pool_drop_ahead(client->clients->pool);
    current_policy_refresh(client->clients->policy);
    if (client->n_again++ < AGAIN_MAX && !client->has_hung_up)
        r = client_start_session(client);
    if (r < 0) {
        if (!client->has_hung_up)
            reply_refuse(client->connection.fd, PROTOCOL_NOT_LOGGED, r);
        client_handle_session_end(client);
        return 0;
    }
    pool_session_free(old);
    client_change_state(client, CLIENT_DECIDING); /* from now on it has its time */
    return 0;
}

/* The table says which messages a session may send in which state. */
static int client_handle_message(struct client *client, const struct session_message *message) {
    bool is_deciding = client->state == CLIENT_DECIDING;
    bool is_open = is_deciding || client->state == CLIENT_STARTING;

    if (message->word == SESSION_HAS_GATE)
        return client_note_gate(client, message->value);
    if (message->word == SESSION_AGAIN && is_deciding)
        return client_serve_again(client);
    if (message->word == SESSION_DECIDED && is_deciding) {
        client->wants_status = (message->value & SESSION_WANTS_STATUS) != 0;
        client_change_state(client, CLIENT_STARTING);
    } else if (message->word == SESSION_FAILED && is_open)
        client_change_state(client, CLIENT_REFUSED);
    else if (message->word == SESSION_GRANTED && is_open)
        client_handle_grant(client, message->value);
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

/* Lets a session serve @client, by the policy as it is now. @client may be gone afterwards. */
void client_dispatch(struct client *client) {
    int r;

    current_policy_refresh(client->clients->policy);
    client_change_state(client, CLIENT_DECIDING);
    r = client_start_session(client);
    if (r < 0) {
        reply_refuse(client->connection.fd, PROTOCOL_KERNEL_REFUSED, r);
        client_free(client);
    }
}

/* For how many milliseconds @client, which is connected, has been silent. */
int64_t client_silence(const struct client *client) {
    return loop_now() - (client->deadline.due - SILENCE_MS);
}

/*
 * Refuses @client, which has sent no request in time. It costs no session: any number of silent
 * clients delays nobody. A request that has come after all is served. @client may be gone
 * afterwards.
 */
void client_refuse_late(struct client *client) {
    struct pollfd request = {.fd = client->connection.fd, .events = POLLIN};

    if (poll(&request, 1, 0) == 1 && (request.revents & POLLHUP) == 0) {
        client_dispatch(client);
        return;
    }
    reply_refuse(client->connection.fd, PROTOCOL_TOO_LATE, 0);
    client_free(client);
}

static void client_handle_connection(void *argument, uint32_t events) {
    struct client *client = argument;
    bool is_hangup = (events & (EPOLLHUP | EPOLLERR)) != 0;

    if (client->session == NULL && is_hangup)
        client_free(client);
    else if (client->state == CLIENT_CONNECTED)
        client_dispatch(client);
    else if (is_hangup) {
        client_hang_up(client);
        command_hang_up(&client->session->gate, client->signal_at_hangup);
    }
}

/* True if the time of the session is over. A new session has a time of its own. */
static bool client_is_overdue(const struct client *client) {
    return client->state == CLIENT_DECIDING && client->deadline.due == 0;
}

/*
 * The client has sent no request in time, or its session has not decided in time. The session is
 * killed but not waited for: it may have a stranger's descriptor whose close(2) takes for ever.
 */
static void client_handle_deadline(void *argument) {
    struct client *client = argument;

    if (client->state == CLIENT_CONNECTED) {
        client_refuse_late(client);
        return;
    }
    if (client->state == CLIENT_PROVING) {
        witness_end(&client->witness);
        client_dispatch(client);
        return;
    }
    /* Messages first: somebody may have stopped the service, but not the session. */
    for (int i = 0; i < SESSION_WORDS_MAX && client_is_overdue(client); i++)
        if (!client_hear_session(client))
            break;
    if (client_is_overdue(client)) {
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
        closer_close(clients->closer, &connection);
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
 * SIGTERM when it runs. A command that a tracer holds after its end is not waited for, and a
 * session that hangs neither.
 */
static void client_end(struct client *client, int signal_number) {
    bool is_kill = signal_number == SIGKILL;
    const struct pool_session *session = client->session;

    if (session == NULL || (is_kill && session->control.fd < 0 &&
                            (!reaper_is_alive(&session->gate) || reaper_is_held(&session->gate))))
        client_free(client);
    else if (client->session->control.fd < 0)
        command_end(&client->session->gate, signal_number);
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
