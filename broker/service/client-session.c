#include "broker/service/client-session.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>

#include "broker/service/caller-description.h"
#include "broker/service/command.h"
#include "broker/service/proof.h"
#include "broker/service/reply.h"
#include "utsbroker/base.h"

enum {
    AGAIN_MAX = 2, /* how often another session is tried */
};

static void client_report_stop(struct client *client) {
    if (client->state != CLIENT_RUNNING || client->stop_signal == 0)
        return;
    /* W_STOPCODE() of glibc: wait(2)'s status of a process that was stopped. */
    reply_notify(client->connection.fd, client->version, client->stop_signal << 8 | 0x7f);
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
void client_handle_session_end(struct client *client) {
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

/* Has @client hear of @session, which has nothing of it yet, or has it since the program before. */
int client_watch_session(struct client *client, struct pool_session *session) {
    loop_remove_source(client->clients->loop, &session->control);
    session->control.function = client_handle_session;
    session->control.argument = client;
    reaper_watch(&session->process, client_handle_process, client);
    if (reaper_is_alive(&session->gate))
        reaper_watch(&session->gate, client_handle_command, client);
    if (session->control.fd < 0)
        return 0;
    return loop_add_source(client->clients->loop, &session->control, EPOLLIN);
}

/* Gives @client to a session; to another if the one made ahead has been killed. Returns 0, also if
 * it is to prove something first, which is not asked of a client that has had a session already; a
 * negative errno, and @client has the session that it had. */
int client_start_session(struct client *client) {
    const struct clients *clients = client->clients;
    CLEANUP_CALLER_DESCRIPTION struct caller_description caller = CALLER_DESCRIPTION_NULL;
    struct pool_session *session;
    int r = loop_change_source(clients->loop, &client->connection, 0); /* hangups only */

    if (r == 0)
        r = caller_describe(&caller, client->connection.fd, clients->subject, clients->reference,
                            client->has_proved);
    if (r < 0)
        return r;
    caller.record.version = client->version;
    if (client->session == NULL && proof_ask(client, &caller) == PROOF_E_ASKED) {
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
            reply_refuse(client->connection.fd, client->version, PROTOCOL_NOT_LOGGED, r);
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
bool client_hear_session(struct client *client) {
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
