#include "broker/service/client-state.h"

#include <signal.h>
#include <stdlib.h>

#include "broker/service/command.h"
#include "broker/service/reply.h"

enum {
    DECIDING_MS = 15000, /* how long a session may take to decide; it refuses after 10 s */
    PROVING_MS = 10000,  /* how long the witness may take until it is ready; see proof.c */
};

/* clang-format off */
/*
 * The one place where a client's state changes. "Has said all": the session closes its channel, also
 * by its death. "Freed": client_free().
 *
 *   state      event                      next      what is done
 *   CONNECTED  a request can be read      DECIDING  a session gets the connection
 *              the caller must prove      PROVING   a witness is started, the launcher is told
 *              5 s are over, or too many  freed     the service refuses as too late
 *              hangup                     freed
 *   PROVING    witness ends, or is late   DECIDING  a session gets the connection
 *              too many                   freed     the service refuses as too late
 *              hangup                     freed     the witness is killed
 *   DECIDING   HAS_GATE                             the gate is watched
 *              AGAIN                                session and gate are killed, another session
 *                                                   gets the connection
 *              AGAIN for the third time   REFUSED   the service refuses; the gate is killed
 *              DECIDED                    STARTING  the gate takes long
 *              GRANTED                    RUNNING
 *              FAILED                     REFUSED   as in STARTING
 *              15 s are over              REFUSED   what is said is heard; then all is killed
 *              session has said all       REFUSED   the gate is killed
 *   STARTING   GRANTED                    RUNNING
 *              FAILED                     REFUSED   the gate is killed; the session tells the launcher
 *              session has said all       LOST      the gate, or command, is killed
 *   RUNNING    command stops                        the launcher is told
 *              command ends               freed     the launcher is told; the ledger, if it asks
 *              hangup                               the command is killed, or gets SIGHUP, if that
 *                                                   was asked for
 *   REFUSED    said all, gate has ended   freed
 *   LOST       command ends               freed     the ledger is told, if it asks
 *
 * "Freed" waits for the end of a session that may have the last copy of the connection. When a
 * command stops or ends before the launcher has the grant, the launcher hears of it after.
 */
/* clang-format on */
void client_change_state(struct client *client, enum client_state state) {
    struct loop *loop = client->clients->loop;

    list_remove(&client->link);
    client->state = state;
    client->since = loop_now();
    list_append(&client->clients->in_state[state], &client->link, client);
    /* No command may be left, even if an attacker who controls the session says otherwise. */
    if (state == CLIENT_REFUSED || state == CLIENT_LOST)
        command_kill(&client->session->gate);
    if (state == CLIENT_DECIDING)
        loop_set_timer(loop, &client->deadline, loop_now() + DECIDING_MS);
    else if (state == CLIENT_PROVING)
        loop_set_timer(loop, &client->deadline, loop_now() + PROVING_MS);
    else
        loop_cancel_timer(&client->deadline);
}

/*
 * Closes the connection to the launcher after client_hang_up(), if that is possible. If something
 * on it was not read, the session must have ended: else its copy may be the last one, and it would
 * hang where the closer's holder should.
 */
void client_close_connection(struct client *client) {
    const struct pool_session *session = client->session;

    if (client->has_hung_up && client->connection.fd >= 0 &&
        (session == NULL || !reaper_is_alive(&session->process) ||
         !closer_has_unread(client->connection.fd)))
        closer_close(client->clients->closer, &client->connection.fd);
}

/* Ends the connection to the launcher, which learns of it at once. */
void client_hang_up(struct client *client) {
    loop_remove_source(client->clients->loop, &client->connection);
    client->has_hung_up = true;
    client_close_connection(client);
}

/* Frees @client. What lives of its session and command is unknown to the reaper from then on. */
void client_free(struct client *client) {
    loop_remove_source(client->clients->loop, &client->connection);
    if (client->connection.fd >= 0)
        closer_close(client->clients->closer, &client->connection.fd);
    loop_cancel_timer(&client->deadline);
    witness_end(&client->witness);
    if (client->session != NULL)
        pool_session_free(client->session);
    list_remove(&client->link);
    client->clients->n--;
    free(client);
}

/* Reports the end of the command to the launcher and to the ledger, as the table says. */
static void client_report_end(struct client *client) {
    const struct child *command = &client->session->gate;

    if (client->state == CLIENT_RUNNING && !client->has_hung_up)
        reply_notify(client->connection.fd, client->version, command->wait_status);
    if (client->wants_status && command->has_ended &&
        (client->state == CLIENT_RUNNING || client->state == CLIENT_LOST))
        end_reports_send(client->clients->end_reports, command->pid, command->wait_status);
}

/*
 * Frees @client if its session has said all, its command has ended, and its connection is closed.
 * First reports the end. @client may be freed afterwards.
 */
void client_settle(struct client *client) {
    if (client->session->control.fd >= 0 || reaper_is_alive(&client->session->gate))
        return;
    if (!client->has_ended)
        client_report_end(client);
    client->has_ended = true;
    client_hang_up(client);
    if (client->connection.fd < 0)
        client_free(client);
}
