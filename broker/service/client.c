#include "broker/service/client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "broker/service/client-session.h"
#include "broker/service/command.h"
#include "broker/service/reply.h"
#include "utsbroker/base.h"

enum {
    SILENCE_MS = 5000,     /* how long a client may send no request */
    SESSION_WORDS_MAX = 3, /* HAS_GATE, DECIDED, then GRANTED or FAILED */
};

/* Lets a session serve @client, by the policy as it is now. @client may be gone afterwards. */
void client_dispatch(struct client *client) {
    int r;

    current_policy_refresh(client->clients->policy);
    client->version = reply_peek_version(client->connection.fd);
    client_change_state(client, CLIENT_DECIDING);
    r = client_start_session(client);
    if (r < 0) {
        reply_refuse(client->connection.fd, client->version, PROTOCOL_KERNEL_REFUSED, r);
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
    reply_refuse(client->connection.fd, client->version, PROTOCOL_TOO_LATE, 0);
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

static struct client *client_make(struct clients *clients, int connection) {
    struct client *client = calloc(1, sizeof(*client));

    if (client == NULL)
        return NULL;
    *client = (struct client){
        .clients = clients,
        .state = CLIENT_CONNECTED,
        .version = PROTOCOL_VERSION,
        .go_on = client_dispatch,
        .connection = {.fd = connection, .function = client_handle_connection, .argument = client},
        .deadline = {.function = client_handle_deadline, .argument = client}};
    list_append(&clients->in_state[CLIENT_CONNECTED], &client->link, client);
    clients->n++;
    return client;
}

/*
 * A new client with @connection, which it takes over, waits for a request. Returns 0 with
 * *@clientp; a negative errno, with @connection closed.
 */
int client_new(struct clients *clients, int connection, struct client **clientp) {
    struct client *client = client_make(clients, connection);
    int r;

    if (client == NULL) {
        closer_close(clients->closer, &connection);
        return -ENOMEM;
    }
    loop_set_timer(clients->loop, &client->deadline, loop_now() + SILENCE_MS);
    r = loop_add_source(clients->loop, &client->connection, EPOLLIN);
    if (r < 0)
        client_free(client);
    else
        *clientp = client;
    return r;
}

static int client_hand_over(const struct client *client, struct handover *handover) {
    struct handover_client record = {.state = client->state,
                                     .connection = client->connection.fd,
                                     .control = -1,
                                     .version = client->version,
                                     .has_hung_up = client->has_hung_up,
                                     .signal_at_hangup = (uint32_t)client->signal_at_hangup,
                                     .wants_status = client->wants_status,
                                     .stop_signal = (uint32_t)client->stop_signal};
    const struct pool_session *session = client->session;

    if (session != NULL) {
        record.control = session->control.fd;
        record.session = reaper_is_alive(&session->process) ? (uint32_t)session->process.pid : 0;
        record.gate = (uint32_t)session->gate.pid;
        record.has_ended = session->gate.has_ended;
        record.wait_status = session->gate.wait_status;
    }
    return handover_add_client(handover, &record);
}

/* Nobody else has the descriptors of @record: who waits at their other ends must hear of it. */
static int client_give_up(struct clients *clients, const struct handover_client *record, int r) {
    int connection = record->connection, control = record->control;

    base_close_fd(&control);
    if (connection >= 0)
        closer_close(clients->closer, &connection);
    return r;
}

/*
 * Goes on with a client of the program before, whose descriptors it takes over. Returns 0 or a
 * negative errno; then this program does not know the client's command, which goes on.
 */
int client_restore(struct clients *clients, const struct handover_client *record) {
    struct client *client;
    int r;

    if (record->state == CLIENT_CONNECTED)
        return client_new(clients, record->connection, &client);
    if (record->state == CLIENT_DECIDING || record->state == CLIENT_PROVING ||
        record->state >= CLIENT_STATE_COUNT)
        return client_give_up(clients, record, -EBADMSG);
    client = client_make(clients, record->connection);
    if (client == NULL)
        return client_give_up(clients, record, -ENOMEM);
    client->version = record->version;
    client->signal_at_hangup = (int)record->signal_at_hangup;
    client->wants_status = record->wants_status;
    client->stop_signal = (int)record->stop_signal;
    client->has_hung_up = record->has_hung_up;
    r = pool_session_resume(clients->pool, record, &client->session);
    if (r == 0 && !client->has_hung_up)
        r = loop_add_source(clients->loop, &client->connection, 0);
    if (r == 0)
        r = client_watch_session(client, client->session);
    if (r < 0) {
        client_free(client);
        return r;
    }
    client_change_state(client, (enum client_state)record->state);
    client_settle(client);
    return 0;
}

/* Notes all clients in @handover. No client may be undecided. Returns 0 or -ENOMEM. */
int clients_hand_over(struct clients *clients, struct handover *handover) {
    int r = 0;

    for (size_t i = 0; i < CLIENT_STATE_COUNT; i++)
        for (struct list_link *link = clients->in_state[i].first, *next; link != NULL && r == 0;
             link = next) {
            struct client *client = link->owner;

            next = link->next;
            if (client->has_ended) /* all was said, and only its connection is to be closed */
                client_free(client);
            else
                r = client_hand_over(client, handover);
        }
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
