#include "broker/service/session-pool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "utsbroker/base.h"
#include "utsbroker/channel.h"

enum {
    BEGIN_MS = 2000,       /* how long the zygote may take to begin a session */
    READY_MS = 60000,      /* how long a session may look up users and groups */
    PAUSE_MS = 100,        /* after a failure; doubled with each, */
    PAUSE_MAX_MS = 10000,  /* but no longer than this */
    LOOKUP_AGE_MS = 10000, /* as SESSION_PATIENCE_SECONDS in direct mode */
    BUSY_MS = 50,          /* a session that takes longer waits for something */
};

/* After a failure. A client that comes during the pause has a session made for it. */
static void pool_pause(struct session_pool *pool) {
    pool->pause = pool->pause == 0 ? PAUSE_MS : pool->pause * 2;
    if (pool->pause > PAUSE_MAX_MS)
        pool->pause = PAUSE_MAX_MS;
    pool->not_before = loop_now() + pool->pause;
}

/*
 * Ends @session, which has no client, and its gate. One that has not begun finds its channel closed
 * and ends by itself.
 */
static void pool_drop(struct session_pool *pool, struct pool_session *session) {
    if (pool->ahead == session)
        pool->ahead = NULL;
    pool_session_close(session);
    reaper_kill(&session->process);
    reaper_kill(&session->gate);
    free(session);
}

static void ahead_fail(struct session_pool *pool) {
    if (pool->ahead != NULL)
        pool_drop(pool, pool->ahead);
    pool_pause(pool);
}

/* A session made ahead, or its gate, has ended: somebody has killed it, or it could not begin. */
static void ahead_handle_end(void *argument, int stop_signal) {
    struct pool_session *session = argument;
    struct session_pool *pool = session->pool;

    if (stop_signal != 0)
        return;
    if (session->state == POOL_READY) /* the next one will be ready, too */
        pool->pause = 0;
    ahead_fail(pool);
}

/*
 * Notes that the gate of @session is the process @pid, or that it has none (0). The session sends
 * this once, before it reads a stranger's byte. Returns 0 or -EBADMSG.
 */
int pool_session_note_gate(struct pool_session *session, uint32_t pid) {
    if (session->has_noted_gate)
        return -EBADMSG;
    if (pid != 0 && reaper_add(session->pool->reaper, &session->gate, (pid_t)pid, ahead_handle_end,
                               session) < 0)
        return -EBADMSG;
    pool_session_settle_gate(session);
    return 0;
}

/*
 * Receives what the session made ahead says of itself. Returns false if it was dropped.
 */
static bool ahead_hear(struct pool_session *session) {
    struct session_pool *pool = session->pool;
    struct session_message message;

    while (session->state != POOL_READY) {
        ssize_t n = pool_session_receive(session, &message);
        int r = -EBADMSG;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n == sizeof(message) && message.word == SESSION_BEGINS &&
            session->state == POOL_ASKED) {
            r = reaper_add(pool->reaper, &session->process, (pid_t)message.value, ahead_handle_end,
                           session);
            session->state = POOL_BEGUN;
        } else if (n == sizeof(message) && message.word == SESSION_HAS_GATE &&
                   session->state == POOL_BEGUN) {
            r = pool_session_note_gate(session, message.value);
            session->state = POOL_READY;
            reaper_take_news(pool->reaper); /* one of them may have died before it was known */
        }
        if (r < 0) {
            ahead_fail(pool);
            return false;
        }
    }
    /* It sends nothing more before it has a client. */
    loop_remove_source(pool->loop, &session->control);
    return true;
}

static void ahead_handle_control(void *argument, uint32_t events) {
    (void)events;
    (void)ahead_hear(argument);
}

/* Prepares a session. The caller owns *@theirsp, the session's end of the channel. */
static int pool_prepare(struct session_pool *pool, struct pool_session **sessionp, int *theirsp) {
    struct pool_session *session = calloc(1, sizeof(*session));
    int ends[2];

    if (session == NULL)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        free(session);
        return -errno;
    }
    *session = (struct pool_session){
        .pool = pool,
        .generation = pool->policy->generation,
        .made_at = loop_now(),
        .process.pidfd.fd = -1,
        .gate.pidfd.fd = -1,
        .control = {.fd = ends[0], .function = ahead_handle_control, .argument = session}};
    pool->reaper->n_gates_unknown++;
    *theirsp = ends[1];
    *sessionp = session;
    return 0;
}

/* For a client that waits: by the zygote it would take longer. */
static int pool_fork(struct session_pool *pool, struct pool_session **sessionp) {
    CLEANUP_FD int theirs = -1;
    struct pool_session *session;
    int r = pool_prepare(pool, &session, &theirs);
    pid_t pid;

    if (r < 0)
        return r;
    pid = fork();
    if (pid == 0)
        zygote_run_session(pool->policy, theirs, false);
    r = pid < 0 ? -errno : reaper_add(pool->reaper, &session->process, pid, NULL, NULL);
    if (r < 0) {
        pool_drop(pool, session);
        return r;
    }
    session->state = POOL_BEGUN;
    *sessionp = session;
    return 0;
}

/* Has a session made ahead. If that fails, the next client has one made for it. */
void session_pool_make_ahead(struct session_pool *pool) {
    CLEANUP_FD int theirs = -1;
    int r = pool_prepare(pool, &pool->ahead, &theirs);

    if (r == 0)
        r = loop_add_source(pool->loop, &pool->ahead->control, EPOLLIN);
    if (r == 0)
        r = zygote_ask_for_session(&pool->zygote, pool->reaper, pool->policy, theirs);
    if (r < 0) {
        zygote_end(&pool->zygote);
        ahead_fail(pool);
    }
}

/* When a session made ahead is late. */
static int64_t pool_due(const struct pool_session *session) {
    return session->made_at + (session->state == POOL_ASKED ? BEGIN_MS : READY_MS);
}

/* A session made ahead that is late: somebody has stopped it, or the zygote. */
static void pool_handle_timer(void *argument) {
    struct session_pool *pool = argument;

    /* Messages first: somebody may have stopped the service, but not the session. */
    if (pool->ahead == NULL || !ahead_hear(pool->ahead) || pool->ahead->state == POOL_READY ||
        loop_now() < pool_due(pool->ahead))
        return;
    zygote_end(&pool->zygote);
    ahead_fail(pool);
}

/*
 * True if session_pool_make_ahead() is to be called as soon as nothing else is to be done; not
 * while a session works, as both would want a processor, and a client waits for the one. Sets the
 * timer for what comes next.
 */
bool session_pool_wants_session(struct session_pool *pool) {
    const struct pool_session *ahead = pool->ahead;
    int64_t due = 0;

    if (ahead != NULL && ahead->state != POOL_READY) {
        due = pool_due(ahead);
    } else if (ahead == NULL && !pool->is_ending) {
        due = pool->n_working > 0 ? pool->busy_until : 0;
        due = due > pool->not_before ? due : pool->not_before;
        if (due <= loop_now())
            return true;
    }
    if (due != 0)
        loop_set_timer(pool->loop, &pool->timer, due);
    else
        loop_cancel_timer(&pool->timer);
    return false;
}

/*
 * A session that has looked up users and groups knows them as they were then. As in direct mode, a
 * change takes effect a few seconds later.
 */
static bool pool_can_use(const struct session_pool *pool, const struct pool_session *session) {
    return session->generation == pool->policy->generation &&
           (!pool->policy->has_names || loop_now() - session->made_at < LOOKUP_AGE_MS);
}

/* The session made ahead, if it is good; if it has begun and is not, it is dropped. One that has
 * not begun comes too late for this client, and stays. */
static struct pool_session *ahead_find(struct session_pool *pool) {
    struct pool_session *ahead = pool->ahead;

    if (ahead == NULL || !ahead_hear(ahead) || ahead->state == POOL_ASKED)
        return NULL;
    if (pool_can_use(pool, ahead))
        return ahead;
    pool_drop(pool, ahead);
    return NULL;
}

/*
 * Finds or makes a session for a client, which has nothing of the client yet. Returns 0 with
 * *@sessionp, which session_pool_give() or session_pool_discard() takes; a negative errno.
 */
int session_pool_find(struct session_pool *pool, struct pool_session **sessionp) {
    *sessionp = ahead_find(pool);
    return *sessionp != NULL ? 0 : pool_fork(pool, sessionp);
}

/* Ends @session, which has no client, and its gate. */
void session_pool_discard(struct pool_session *session) {
    pool_drop(session->pool, session);
}

/*
 * Gives a client to @session, which serves it from now on: sends it @client with @fds, which stay
 * the caller's. All that can fail must be done before: the session may grant at once. Returns 0,
 * and @session is the caller's; a negative errno, -EPIPE or -ECONNRESET if it was killed.
 */
int session_pool_give(struct pool_session *session, const struct session_client *client,
                      const int *fds, size_t n_fds) {
    struct session_pool *pool = session->pool;
    int r = channel_send(session->control.fd, client, sizeof(*client), fds, n_fds);

    if (r < 0)
        return r;
    if (session == pool->ahead)
        pool->ahead = NULL;
    session->state = POOL_TAKEN;
    pool->pause = 0;
    pool->n_working++;
    pool->busy_until = loop_now() + BUSY_MS;
    return 0;
}

/* Ends the session made ahead. It is made anew when it is wanted. */
void session_pool_drop_ahead(struct session_pool *pool) {
    if (pool->ahead != NULL && ahead_hear(pool->ahead))
        pool_drop(pool, pool->ahead);
}

/* Ends the session made ahead and the zygote. Both are made anew when they are wanted. */
void session_pool_drop(struct session_pool *pool) {
    session_pool_drop_ahead(pool);
    zygote_end(&pool->zygote);
}

/* @pool makes its sessions with @policy, as it is when each is made. */
void session_pool_init(struct session_pool *pool, struct loop *loop, struct reaper *reaper,
                       const struct current_policy *policy) {
    *pool = (struct session_pool){.loop = loop,
                                  .reaper = reaper,
                                  .policy = policy,
                                  .zygote.channel = -1,
                                  .timer = {.function = pool_handle_timer, .argument = pool}};
}
