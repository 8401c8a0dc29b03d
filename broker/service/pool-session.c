/* One session of the pool (session-pool.h), also after a client has taken it. */

#include "broker/service/session-pool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "utsbroker/base.h"

/* The gate of @session is known now, or will never be. */
void pool_session_settle_gate(struct pool_session *session) {
    if (!session->has_noted_gate)
        session->pool->reaper->n_gates_unknown--;
    session->has_noted_gate = true;
}

/*
 * Closes the channel to @session. If its gate is not known yet, the reaper treats it as unknown
 * from now on.
 */
void pool_session_close(struct pool_session *session) {
    if (session->control.fd < 0)
        return;
    if (session->state == POOL_TAKEN)
        session->pool->n_working--;
    pool_session_settle_gate(session);
    loop_remove_source(session->pool->loop, &session->control);
    base_close_fd(&session->control.fd);
}

/* Frees @session, which a client had taken. What lives of it is unknown to the reaper from then on.
 */
void pool_session_free(struct pool_session *session) {
    pool_session_close(session);
    reaper_forget(&session->process);
    reaper_forget(&session->gate);
    free(session);
}

/*
 * Receives one message of @session, as recv(2). Tries again without memory: if the session seemed
 * to have ended, its command would be killed although the launcher may know of it.
 */
ssize_t pool_session_receive(struct pool_session *session, struct session_message *message) {
    const int tries = 3;
    ssize_t n = -1;

    for (int i = 0; i < tries && n < 0 && (i == 0 || errno != EAGAIN); i++)
        n = recv(session->control.fd, message, sizeof(*message), MSG_DONTWAIT);
    return n;
}

/*
 * Makes known the session of @record, which has a client since before this program was executed,
 * and what is alive of its processes. Returns 0 with *@sessionp, the caller's; a negative errno,
 * -ECHILD if the gate is no child.
 */
int pool_session_resume(struct session_pool *pool, const struct handover_client *record,
                        struct pool_session **sessionp) {
    struct pool_session *session = calloc(1, sizeof(*session));
    int control = record->control;

    if (session == NULL) {
        base_close_fd(&control);
        return -ENOMEM;
    }
    *session = (struct pool_session){.pool = pool,
                                     .state = POOL_TAKEN,
                                     .has_noted_gate = true,
                                     .made_at = loop_now(),
                                     .control.fd = record->control};
    pool->n_working += record->control >= 0;
    (void)reaper_add(pool->reaper, &session->process, (pid_t)record->session, NULL, NULL);
    if (record->has_ended)
        session->gate = (struct child){.pid = (pid_t)record->gate,
                                       .has_ended = true,
                                       .wait_status = record->wait_status,
                                       .pidfd.fd = -1};
    else if (reaper_add(pool->reaper, &session->gate, (pid_t)record->gate, NULL, NULL) < 0 &&
             record->gate != 0) {
        pool_session_free(session); /* nobody must hear of an end that is not known */
        return -ECHILD;
    }
    *sessionp = session;
    return 0;
}
