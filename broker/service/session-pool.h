#pragma once

/*
 * The sessions of the service, one of them made ahead: what a session does before it is behind its
 * filter needs no client and takes most of its time. A ready session waits there, with its gate,
 * for the next client.
 *
 *    state     what is known                  next
 *    ASKED     the zygote was asked for it    BEGUN; gone when its channel closes or 2 s are over
 *    BEGUN     its pid                        READY; gone when it ends or 60 s are over
 *    READY     its gate, or that it has none  TAKEN by a client; gone when it or its gate ends
 *    TAKEN     its client                     ends with pool_session_close(), pool_session_free()
 *
 * A session that a client has to wait for is forked by the service itself: it is BEGUN at once, and
 * TAKEN by its client before it has named its gate.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/loop.h"
#include "broker/service/current-policy.h"
#include "broker/service/handover.h"
#include "broker/service/reaper.h"
#include "broker/service/zygote.h"
#include "broker/session/session.h"

enum pool_session_state { POOL_ASKED, POOL_BEGUN, POOL_READY, POOL_TAKEN };

struct pool_session {
    enum pool_session_state state;
    struct session_pool *pool;
    struct loop_source control; /* its messages; fd -1: closed */
    struct child process, gate;
    bool has_noted_gate;
    unsigned generation; /* of the policy that it has */
    int64_t made_at;
};

struct session_pool {
    struct loop *loop;
    struct reaper *reaper;
    const struct current_policy *policy;
    struct zygote zygote;
    struct pool_session *ahead; /* NULL: there is none */
    struct loop_timer timer;    /* when @ahead is late, or when the next one may be made */
    unsigned n_working;         /* taken, with an open channel */
    int64_t busy_until;         /* the last of them has work to do until then */
    int64_t not_before;         /* after a failure */
    int64_t pause;              /* doubles with each failure */
    bool is_ending;             /* none is made ahead any more */
};

void session_pool_init(struct session_pool *pool, struct loop *loop, struct reaper *reaper,
                       const struct current_policy *policy);
bool session_pool_wants_session(struct session_pool *pool);
void session_pool_make_ahead(struct session_pool *pool);
int session_pool_find(struct session_pool *pool, struct pool_session **sessionp);
void session_pool_discard(struct pool_session *session);
int session_pool_give(struct pool_session *session, const struct session_client *client,
                      const int *fds, size_t n_fds);
void session_pool_drop_ahead(struct session_pool *pool);
void session_pool_drop(struct session_pool *pool);

int pool_session_resume(struct session_pool *pool, const struct handover_client *record,
                        struct pool_session **sessionp);
ssize_t pool_session_receive(struct pool_session *session, struct session_message *message);
int pool_session_note_gate(struct pool_session *session, uint32_t pid);
void pool_session_settle_gate(struct pool_session *session);
void pool_session_close(struct pool_session *session);
void pool_session_free(struct pool_session *session);
