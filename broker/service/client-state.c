#include "broker/service/client-state.h"

#include <signal.h>
#include <stdlib.h>

#include "broker/service/reply.h"
#include "broker/service/service-log.h"

enum { DECIDING_MS = 15000 /* how long a session may take to decide; it refuses after 10 s */ };

/* clang-format off */
/*
 * The one place where a client's state changes. "Has said all": the session closes its channel, also
 * by its death. "Freed": client_free().
 *
 *   state      event                      next      what is done
 *   CONNECTED  a request can be read      DECIDING  a session gets the connection
 *              5 s are over, or too many  DECIDING  the same; the session refuses as too late
 *              hangup                     freed
 *   DECIDING   HAS_GATE, COUNTS                     the gate is watched; a command is counted
 *              DECIDED                    STARTING
 *              GRANTED, FAILED                      as in STARTING: DECIDED was lost
 *              15 s are over              REFUSED   what is said is heard; then all is killed
 *              session has said all       REFUSED   the gate is killed
 *   STARTING   GRANTED                    RUNNING
 *              FAILED                     REFUSED   the gate is killed; the session tells the launcher
 *              session has said all       LOST      the gate, or command, is killed
 *   RUNNING    command stops                        the launcher is told
 *              command ends               freed     launcher and log are told
 *              hangup                               the command is killed, if that was asked for
 *   REFUSED    said all, gate has ended   freed
 *   LOST       command ends               freed     the log is told
 *
 * When a command stops or ends before the launcher has the grant, the launcher hears of it after.
 */
/* clang-format on */
void client_change_state(struct client *client, enum client_state state) {
    struct loop *loop = client->clients->loop;

    list_remove(&client->link);
    client->state = state;
    list_append(&client->clients->in_state[state], &client->link, client);
    /* No command may be left, even if an attacker who controls the session says otherwise. */
    if (state == CLIENT_REFUSED || state == CLIENT_LOST)
        reaper_signal(&client->session->gate, SIGKILL);
    if (state == CLIENT_DECIDING)
        loop_set_timer(loop, &client->deadline, loop_now() + DECIDING_MS);
    else
        loop_cancel_timer(&client->deadline);
}

/* Closes the connection to the launcher, if it is open. */
void client_hang_up(struct client *client) {
    loop_remove_source(client->clients->loop, &client->connection);
    if (client->connection.fd >= 0)
        reply_close_connection(&client->connection.fd);
}

/* Frees @client. What lives of its session and command is unknown to the reaper from then on. */
void client_free(struct client *client) {
    client_hang_up(client);
    loop_cancel_timer(&client->deadline);
    if (client->session != NULL)
        pool_session_free(client->session);
    if (client->is_counted)
        counters_give_back(&client->clients->policy->counters, client->counter);
    list_remove(&client->link);
    client->clients->n--;
    free(client);
}

/*
 * Frees @client if its session has said all and its command has ended. First reports the end to the
 * launcher and to the log, if the table says so. @client may be freed afterwards.
 */
void client_settle(struct client *client) {
    const struct child *command = &client->session->gate;
    struct audit_event end = {
        .kind = AUDIT_END, .pid = command->pid, .wait_status = command->wait_status};

    if (client->session->control.fd >= 0 || reaper_is_alive(command))
        return;
    if (client->state == CLIENT_RUNNING)
        reply_notify(client->connection.fd, command->wait_status);
    if (command->has_ended && (client->state == CLIENT_RUNNING || client->state == CLIENT_LOST))
        (void)service_log_write(client->clients->subject, &end);
    client_free(client);
}
