/*
 * Steps 8 to 10 of a session: decide, release the gate, reply.
 *
 * Runs in the session process, behind the seccomp filter of filter-table.c, as the user and without
 * any capability. Everything here may read what a stranger sent; a session that is taken over can
 * forge a name, and no more. Allocates and frees nothing.
 */

#include "broker/session/decide.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "broker/session/error-text.h"
#include "broker/session/receive.h"
#include "broker/session/session-internal.h"
#include "broker/session/session-messages.h"
#include "utsbroker/base.h"

/*
 * True if the policy was loaded too long ago. A launcher that delays its request would else be
 * judged by an old policy, whatever the administrator has changed since.
 */
static bool session_is_policy_too_old(const struct session *session) {
    struct timespec now;

    return clock_gettime(CLOCK_MONOTONIC, &now) < 0 ||
           now.tv_sec - session->loaded.tv_sec > SESSION_PATIENCE_SECONDS;
}

/* Refuses with the reason of a decision that does not permit the request. */
static void session_refuse_denied(struct session *session, const struct decision *decision) {
    session->refused_names = decision->names;
    if (decision->verdict == DECISION_BAD_NAME)
        session_refuse(session, PROTOCOL_BAD_NAME, 0, "%s",
                       (decision->names & PROTOCOL_HOSTNAME) != 0
                           ? "not a valid host name (RFC 1123)"
                           : "not a valid NIS domain name (RFC 1123)");
    else
        session_refuse(session, PROTOCOL_DENIED, 0, "%s",
                       decision->rule == NULL ? "no rule permits it"
                       : decision->is_in_doubt
                           ? "a rule denies it to all users: its user or group is unknown"
                           : "a rule denies it");
}

/* Refuses a permitted request if this mode cannot do what the rule says. */
static void session_check_mode(struct session *session, const struct policy_rule *rule) {
    bool is_service = session->setup->service != NULL;

    if (rule->is_setuid && is_service)
        session_refuse(session, PROTOCOL_NEEDS_DIRECT, 0,
                       "the rule says setuid, and the service has no_new_privs set");
    else if (rule->limit != 0 && session->has_no_ledger)
        session_refuse(session, PROTOCOL_NEEDS_LEDGER, 0,
                       "the rule has a limit, and this machine has no ledger to count");
}

/* True if @name is the name of a UTS namespace in which none was set (the kernel's default). */
static bool is_unset(const char *name) {
    return name[0] == '\0' || strcmp(name, "(none)") == 0;
}

/* Makes the inherited name @own one that is asked for, unless it is asked for or the machine's. */
static void session_add_inherited_name(struct session *session, unsigned name, char *field,
                                       const char *own, const char *machines) {
    struct protocol_request *request = &session->request;

    if ((request->names & name) != 0 || is_unset(own) || strcmp(own, machines) == 0)
        return;
    memcpy(field, own, strlen(own));
    request->names |= name;
    session->inherited_names |= name;
}

/*
 * True if this process is in the machine's own UTS namespace: the first one that the kernel made,
 * or the ledger's. The ledger is heard only in another than the first, since that takes a wait.
 */
static bool session_is_in_machines_namespace(struct session *session) {
    const uint64_t first_inode = 4026531838; /* PROC_UTS_INIT_INO, <linux/proc_ns.h> */
    const struct uts_names *own = &session->own_names;
    int r;

    if (own->inode == first_inode)
        return true;
    r = session_hear_ledger(session);
    if (r < 0)
        session_refuse(session, PROTOCOL_NOT_LOGGED, -r, "the ledger does not answer: %s",
                       error_text(-r));
    /* Without a ledger no names are known to be the machine's. */
    return r == 0 && own->inode == session->hello.uts_inode &&
           own->device == session->hello.uts_device && own->inode != 0;
}

/*
 * In another UTS namespace than the machine's own, what the command inherits counts as asked for:
 * else a user could collect names from several rules, one inside the other.
 */
static void session_add_inherited_names(struct session *session) {
    const struct uts_names *own = &session->own_names;
    const struct ledger_hello *hello = &session->hello;

    if (session->setup->service != NULL || session_is_in_machines_namespace(session))
        return;
    session_add_inherited_name(session, PROTOCOL_HOSTNAME, session->request.hostname, own->hostname,
                               hello->hostname);
    session_add_inherited_name(session, PROTOCOL_DOMAINNAME, session->request.domainname,
                               own->domainname, hello->domainname);
}

/* Step 8. Decides by the policy, or refuses. */
static void session_decide_by_policy(struct session *session) {
    const struct protocol_request *request = &session->request;
    struct decision decision;

    if (session_is_policy_too_old(session))
        session_refuse(session, PROTOCOL_TOO_LATE, 0,
                       "the request came more than %d seconds after the policy was loaded",
                       SESSION_PATIENCE_SECONDS);
    if (session->status != PROTOCOL_GRANTED)
        return;
    session_add_inherited_names(session);
    if (session->status != PROTOCOL_GRANTED)
        return;
    decision = selection_decide(&session->selection,
                                request->names & PROTOCOL_HOSTNAME ? request->hostname : NULL,
                                request->names & PROTOCOL_DOMAINNAME ? request->domainname : NULL);
    session->rule = decision.rule;
    if (decision.verdict != DECISION_PERMITTED)
        session_refuse_denied(session, &decision);
    else
        session_check_mode(session, decision.rule);
}

/*
 * Closes the channels to the service and the gate, which wait for that. The end of this process
 * comes too late for it: the kernel closes the stranger's descriptors then, which can block (a file
 * system that does not answer).
 */
static void session_close_channels(struct session *session) {
    if (session->setup->service != NULL)
        (void)close(session->setup->service->control);
    base_close_fd(&session->gate.channel);
}

/*
 * Waits until the gate is the command, as gate_wait(). Tells the service if that takes long: it
 * waits for a session that decides, but not for ever. What a launch needs is one message less.
 */
static int session_wait_for_gate(const struct session *session, struct gate_report *reportp) {
    int r = gate_wait(&session->gate, reportp);

    if (r != -EAGAIN)
        return r;
    session_tell_service(session, SESSION_DECIDED);
    while (r == -EAGAIN)
        r = gate_wait(&session->gate, reportp);
    return r;
}

/* The gate prepares itself while the ledger writes. Returns 0 or a negative errno. */
static int session_prepare_gate(const struct session *session) {
    const struct protocol_request *request = &session->request;
    struct gate_verdict verdict = {
        .names = request->names, .is_setuid = session->rule->is_setuid, .flags = request->flags};

    memcpy(verdict.hostname, request->hostname, sizeof(verdict.hostname));
    memcpy(verdict.domainname, request->domainname, sizeof(verdict.domainname));
    return gate_prepare(&session->gate, &verdict, &session->fds);
}

/* Logs the grant and sends the gate its verdict. Refuses if the log does not take the grant. */
static int session_log_grant(struct session *session) {
    int r = session_log_send(session, LEDGER_ENTER, false);
    int gate_r = r == 0 ? session_prepare_gate(session) : 0;

    if (r == 0)
        r = session_log_await(session);
    if (r < 0)
        session_refuse(session, PROTOCOL_NOT_LOGGED, -r, "cannot write to the log: %s",
                       error_text(-r));
    return gate_r;
}

/*
 * Step 9. Logs the grant, releases the gate and waits until it is the command. The log comes first:
 * a user who kills the session right after the release has a command, but the log has its grant.
 */
static void session_release_gate(struct session *session) {
    struct gate_report report = {.error = 0};
    int r = session_log_grant(session);

    if (session->status != PROTOCOL_GRANTED)
        return;
    if (r == 0)
        r = gate_release(&session->gate);
    if (r == 0)
        r = session_wait_for_gate(session, &report);
    session->uts_namespace = report.uts_namespace;
    if (r == 0)
        return;
    if (r < 0)
        report = (struct gate_report){.status = PROTOCOL_KERNEL_REFUSED, .error = -r};
    session_refuse(session, (enum protocol_status)report.status, report.error,
                   report.status == PROTOCOL_EXEC_FAILED ? "cannot execute the command: %s"
                                                         : "the gate failed: %s",
                   error_text(report.error));
    (void)session_log(session, LEDGER_FAILURE, r < 0);
    /* With r < 0 the gate may be the command all the same: the service then waits for its end. */
    if (r > 0)
        session_tell_service(session, SESSION_FAILED);
}

/* True if the launcher still runs, but the kernel could not send the reply. */
static bool is_send_failure(int error) {
    return error < 0 && error != -EPIPE && error != -ECONNRESET;
}

/*
 * Step 10. Sends the reply. Returns true if the launcher has the reply that it is granted. If the
 * pidfd cannot be sent (unix(7), ETOOMANYREFS) the reply is a refusal, and the service, or the
 * launcher, ends the command. The log keeps the grant, since the command may have run.
 */
static bool session_send_reply(struct session *session) {
    int r = session_reply(session);

    if (session->status == PROTOCOL_GRANTED && is_send_failure(r)) {
        session_refuse(session, PROTOCOL_KERNEL_REFUSED, -r, "cannot send the reply: %s",
                       error_text(-r));
        r = session_reply(session);
    }
    return r == 0 && session->status == PROTOCOL_GRANTED;
}

/* Steps 8 to 10. Returns true if the request is granted and the launcher has the reply. */
static bool session_decide(struct session *session) {
    session_decide_by_policy(session);
    if (session->status == PROTOCOL_GRANTED)
        session_release_gate(session);
    else
        (void)session_log(session, LEDGER_REFUSAL, false);
    return session_send_reply(session);
}

/*
 * Steps 7 to 10: receives the request, decides, and grants or refuses. Must be called behind the
 * filter (filter_load()). Returns true if the request is granted and the launcher has the reply:
 * the gate is the command now, or was killed before.
 */
bool decide_request(struct session *session) {
    bool is_granted = receive_request(session) && session_decide(session);

    if (is_granted)
        session_tell_service(session, SESSION_GRANTED);
    session_close_channels(session);
    return is_granted;
}
