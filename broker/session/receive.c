/*
 * Step 7 of a session: hears the ledger, gets the client from the service, receives the request.
 *
 * Runs as decide.c does: behind the seccomp filter, and reads what a stranger sent.
 */

#include "broker/session/receive.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/ledger-link.h"
#include "broker/session/error-text.h"
#include "broker/session/session-internal.h"
#include "broker/session/session-messages.h"
#include "utsbroker/base.h"

/*
 * Takes over what the service found out about the caller. Refuses a confined caller: the command
 * would leave that confinement, since it descends from the service.
 */
static void session_check_caller(struct session *session, const struct session_client *client) {
    static const char *const reasons[PROTOCOL_CONFINEMENT_COUNT] = {
        [PROTOCOL_OTHER_USER] = "the caller is another user",
        [PROTOCOL_LACKS_GROUP] = "the caller lacks a group that the service has",
        [PROTOCOL_NO_NEW_PRIVS] =
            "the caller has no_new_privs set, and is in no command of the service",
        [PROTOCOL_NO_TRACING] =
            "the caller has no_new_privs set, and kernel.yama.ptrace_scope permits no proof",
        [PROTOCOL_UNPROVED] = "the caller has no_new_privs set, and could not attach to a witness",
        [PROTOCOL_FILTERED] = "the caller has a seccomp filter",
        [PROTOCOL_OTHER_NAMESPACE] = "the caller is in another namespace: ",
        [PROTOCOL_OTHER_ROOT] = "the caller has another root directory",
        [PROTOCOL_GONE] = "the caller has ended",
        [PROTOCOL_UNREADABLE] = "/proc does not show the caller to the service",
    };

    session->difference = client->difference;
    /* Overrides an earlier refusal: a confined caller learns nothing about the policy. */
    if (client->peer > 0) {
        session->status = PROTOCOL_GRANTED;
        session_refuse(session, PROTOCOL_CALLER_CONFINED, 0, "%s%s", reasons[client->peer],
                       protocol_describe_namespace(client->difference.other_namespace));
        session->confinement = (enum protocol_confinement)client->peer;
    } else if (client->peer < 0) {
        session_refuse(session, PROTOCOL_KERNEL_REFUSED, -client->peer,
                       "cannot examine the caller: %s", error_text(-client->peer));
    }
}

/* True if another session can do what this one cannot: it was made before the ledger had ended, or
 * before there was one. */
static bool session_is_outdated(const struct session *session, const struct session_client *client,
                                int error) {
    if (!session->setup->service->is_ahead)
        return false;
    return error == -EPIPE || session->status == PROTOCOL_NOT_LOGGED ||
           (session->has_no_ledger && client->has_ledger != 0);
}

/*
 * Hears the ledger, to which a session that was made ahead may have connected long ago. One that
 * was made for this client is in time, also if the ledger has said since that it ends. Returns
 * false if another session must serve the client.
 */
static bool session_check_ledger(struct session *session, const struct session_client *client) {
    int r = session_hear_ledger(session);

    if (r == 0 && session->ledger >= 0)
        r = ledger_link_check(session->ledger);
    if (r == LEDGER_LINK_E_ENDS)
        r = session->setup->service->is_ahead ? -EPIPE : 0;
    if (session_is_outdated(session, client, r))
        return false;
    if (r == 0 && session->has_no_ledger && client->has_ledger != 0)
        r = -EPIPE;
    if (r < 0)
        session_refuse(session, PROTOCOL_NOT_LOGGED, -r, "the ledger does not answer: %s",
                       error_text(-r));
    return true;
}

/*
 * Waits for the client that the service gives to this session, and takes over what the service
 * knows about it. The gate gets the caller's limits before the session reads what a stranger sent.
 * Returns false if the service has ended, gives it no client, or must give the client to another.
 */
static bool session_receive_client(struct session *session) {
    struct session_client client;
    struct channel_fds fds;
    size_t size = 0;
    int r = channel_receive(session->setup->service->control, &client, sizeof(client), &size, &fds);

    if (r < 0 || size != sizeof(client) || fds.n_fds < 1)
        return false;
    session->channel = fds.fds[0];
    session->version = client.version;
    if (!session_check_ledger(session, &client)) {
        session_tell_service(session, SESSION_AGAIN);
        return false;
    }
    if (fds.n_fds > 1) {
        session->syslog.fd = fds.fds[1];
        session->syslog.is_stream = client.log_is_stream != 0;
    }
    if (client.log < 0)
        session_refuse(session, PROTOCOL_NOT_LOGGED, -client.log, "cannot open the log: %s",
                       error_text(-client.log));
    session_check_caller(session, &client);
    if (session->status == PROTOCOL_GRANTED) {
        r = gate_send_limits(&session->gate, &client.limits);
        if (r < 0)
            session_refuse(session, PROTOCOL_KERNEL_REFUSED, -r,
                           "cannot send the limits to the gate: %s", error_text(-r));
    }
    /* The service has just checked that the policy is current. */
    return clock_gettime(CLOCK_MONOTONIC, &session->loaded) == 0;
}

/*
 * Receives the request, the first bytes from a stranger that this process reads. Returns
 * false if the launcher has ended: then there is nothing to do.
 */
static bool session_receive_request(struct session *session) {
    struct protocol_request record;
    size_t size = 0;
    int r = channel_receive_all(session->channel, &record, sizeof(record), &size, &session->fds);

    if (r == 0 && size == 0)
        return false;
    if (r < 0 && r != -EAGAIN && r != -EMSGSIZE && r != -EBADMSG)
        session_refuse(session, PROTOCOL_KERNEL_REFUSED, -r, "cannot receive the request: %s",
                       error_text(-r));
    if (r == 0)
        session->version = protocol_choose_version(&record, size);
    if (r == -EAGAIN)
        r = PROTOCOL_TOO_LATE;
    else if (r == 0)
        r = protocol_decode_request(&record, size, session->fds.n_fds, &session->request);
    else
        r = PROTOCOL_BAD_REQUEST;
    if (r == PROTOCOL_GRANTED &&
        ((session->request.flags & PROTOCOL_TO_SERVICE) != 0) != (session->setup->service != NULL))
        r = PROTOCOL_BAD_REQUEST;
    /* The descriptors of a bad record stay open until this process ends: close(2) can block. */
    if (r != PROTOCOL_GRANTED)
        session_refuse(session, (enum protocol_status)r, 0, "%s",
                       r == PROTOCOL_TOO_LATE      ? "no request came in time"
                       : r == PROTOCOL_BAD_VERSION ? "the request has another protocol version"
                                                   : "the request is malformed");
    return true;
}

/*
 * Reads the request of a confined caller, for the log, and leaves it and its descriptors in the
 * queue: a descriptor that this process had would be closed at its end, which can take for ever.
 */
static void session_peek_request(struct session *session) {
    struct protocol_request record;
    struct iovec bytes = {.iov_base = &record, .iov_len = sizeof(record)};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    ssize_t n = recvmsg(session->channel, &message, MSG_PEEK | MSG_TRUNC);

    if (n > 0)
        (void)protocol_decode_request(&record, (size_t)n, CHANNEL_FDS_MAX, &session->request);
}

/*
 * Receives the client, if the service gives it, and the request. Returns false if there is nothing
 * to decide and nobody to reply to; else the session may be refused already.
 */
bool receive_request(struct session *session) {
    bool has_client = session->setup->service == NULL || session_receive_client(session);

    if (!has_client || session->confinement == PROTOCOL_UNCONFINED)
        return has_client && session_receive_request(session);
    session_peek_request(session);
    return true;
}
