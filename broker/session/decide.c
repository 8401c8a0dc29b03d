#include "broker/session/session-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "utsbroker/base.h"

/*
 * Refuses, unless it is refused already; the reason is for the log. @error is an errno, or 0.
 */
void session_refuse(struct session *session, enum protocol_status status, int error,
                    const char *format, ...) {
    va_list arguments;

    if (session->status != PROTOCOL_GRANTED)
        return;
    session->status = status;
    session->error = error;
    va_start(arguments, format);
    (void)vsnprintf(session->reason, sizeof(session->reason), format, arguments);
    va_end(arguments);
}

/* Keeps the end of a path that is too long: the file's name says more than the first folders. */
static void rule_file_copy(char *field, const char *path) {
    size_t length = strlen(path);

    if (length >= PROTOCOL_RULE_FILE_SIZE)
        path += length - (PROTOCOL_RULE_FILE_SIZE - 1);
    memcpy(field, path, strlen(path));
}

/* Tells the launcher how it ended. Returns 0 or a negative errno: -EPIPE if the launcher is gone.
 */
int session_reply(const struct session *session) {
    bool granted = session->status == PROTOCOL_GRANTED;
    struct protocol_reply reply = {.version = PROTOCOL_VERSION,
                                   .status = session->status,
                                   .error = session->error,
                                   .pid = granted ? session->gate.pid : 0,
                                   .names = session->refused_names,
                                   .confinement = session->confinement,
                                   .uts_namespace = granted ? session->uts_namespace : 0,
                                   .groups_differ = session->groups_differ};

    if (session->rule != NULL) {
        reply.rule_line = session->rule->line;
        rule_file_copy(reply.rule_file, session->rule->file);
    }
    return channel_send(session->channel, &reply, sizeof(reply), &session->gate.pidfd,
                        granted ? 1 : 0);
}

/* Writes the line of @kind to the log. Returns what audit_write() returns. */
int session_log(const struct session *session, enum audit_kind kind) {
    const struct protocol_request *request = &session->request;
    struct audit_event event = {
        .kind = kind,
        .user = session->subject.known_name,
        .uid = session->subject.uid,
        .hostname = request->names & PROTOCOL_HOSTNAME ? request->hostname : NULL,
        .domainname = request->names & PROTOCOL_DOMAINNAME ? request->domainname : NULL,
        .rule = session->rule,
        .pid = kind == AUDIT_REFUSAL ? 0 : session->gate.pid,
        .mode = session->setup->service != NULL ? "service" : "direct",
        .reason = session->reason[0] != '\0' ? session->reason : NULL,
    };

    return audit_write(&session->audit, &event);
}

/* What the user would leave behind if the service started their command is not left behind. */
static void session_hear_of_peer(struct session *session, const struct session_client *client) {
    static const char *const reasons[PROTOCOL_CONFINEMENT_COUNT] = {
        [PROTOCOL_OTHER_USER] = "the caller is another user",
        [PROTOCOL_LACKS_GROUP] = "the caller lacks a group that the service has",
        [PROTOCOL_NO_NEW_PRIVS] = "the caller has no_new_privs set",
        [PROTOCOL_FILTERED] = "the caller has a seccomp filter",
        [PROTOCOL_OTHER_NAMESPACE] = "the caller is in another namespace",
        [PROTOCOL_OTHER_ROOT] = "the caller has another root directory",
        [PROTOCOL_GONE] = "the caller is gone",
        [PROTOCOL_UNREADABLE] = "the caller cannot be looked at",
    };

    session->groups_differ = client->groups_differ != 0;
    /* Before anything else: what is said to who is confined does not depend on the policy. */
    if (client->peer > 0) {
        session->status = PROTOCOL_GRANTED;
        session_refuse(session, PROTOCOL_CALLER_CONFINED, 0, "%s", reasons[client->peer]);
        session->confinement = (enum protocol_confinement)client->peer;
    } else if (client->peer < 0) {
        session_refuse(session, PROTOCOL_KERNEL_REFUSED, -client->peer,
                       "asking about the caller: errno %d", -client->peer);
    }
}

/*
 * The service's session waits here for its client: all before needs none. The gate hears of the
 * caller's limits before a stranger's byte is read. False if there will be no client.
 */
static bool session_await_client(struct session *session) {
    struct session_client client;
    struct channel_fds fds;
    size_t size = 0;
    int r = channel_receive(session->setup->service->control, &client, sizeof(client), &size, &fds);

    if (r < 0 || size != sizeof(client) || fds.n_fds < 1)
        return false;
    session->channel = fds.fds[0];
    session->audit.fd = fds.n_fds > 1 ? fds.fds[1] : -1;
    session->audit.is_stream = client.log_is_stream != 0;
    session_hear_of_peer(session, &client);
    if (client.log < 0)
        session_refuse(session, PROTOCOL_NOT_LOGGED, -client.log, "opening the log: errno %d",
                       -client.log);
    if (client.is_late != 0)
        session_refuse(session, PROTOCOL_TOO_LATE, 0, "no request came");
    if (session->status == PROTOCOL_GRANTED) {
        r = gate_limit(&session->gate, &client.limits);
        if (r < 0)
            session_refuse(session, PROTOCOL_KERNEL_REFUSED, -r, "telling the gate: errno %d", -r);
    }
    /* The service has just seen that the policy is still the one. */
    return clock_gettime(CLOCK_MONOTONIC, &session->loaded) == 0;
}

/* Step 7. The first stranger's byte. False if the launcher is gone and nothing is to be done. */
static bool session_receive(struct session *session) {
    struct protocol_request record;
    size_t size = 0;
    int r = channel_receive_all(session->channel, &record, sizeof(record), &size, &session->fds);

    if (r == 0 && size == 0)
        return false;
    if (r < 0 && r != -EAGAIN && r != -EMSGSIZE && r != -EBADMSG)
        session_refuse(session, PROTOCOL_KERNEL_REFUSED, -r, "receiving the request: errno %d", -r);
    if (r == -EAGAIN)
        r = PROTOCOL_TOO_LATE;
    else if (r == 0)
        r = protocol_decode_request(&record, size, session->fds.n_fds, &session->request);
    else
        r = PROTOCOL_BAD_REQUEST;
    if (r == PROTOCOL_GRANTED &&
        ((session->request.flags & PROTOCOL_TO_SERVICE) != 0) != (session->setup->service != NULL))
        r = PROTOCOL_BAD_REQUEST;
    /* What came with a bad record is closed by the end: close(2) of a stranger's file can block. */
    if (r != PROTOCOL_GRANTED)
        session_refuse(session, (enum protocol_status)r, 0, "%s",
                       r == PROTOCOL_TOO_LATE      ? "no request came"
                       : r == PROTOCOL_BAD_VERSION ? "a request of another version"
                                                   : "a malformed request");
    return true;
}

/*
 * Whoever waits with a request waits with the policy as it was. What the administrator has changed
 * since holds for them too, a few seconds later.
 */
static bool session_is_late(const struct session *session) {
    struct timespec now;

    return clock_gettime(CLOCK_MONOTONIC, &now) < 0 ||
           now.tv_sec - session->loaded.tv_sec > SESSION_PATIENCE_SECONDS;
}

static void session_refuse_decision(struct session *session, const struct decision *decision) {
    session->refused_names = decision->names;
    if (decision->verdict == DECISION_BAD_NAME)
        session_refuse(session, PROTOCOL_BAD_NAME, 0, "not a name of RFC 1123");
    else
        session_refuse(session, PROTOCOL_DENIED, 0, "%s",
                       decision->rule == NULL ? "no rule permits it"
                       : decision->is_in_doubt
                           ? "a rule denies it, to all, as nobody knows its user or group"
                           : "a rule denies it");
}

/* The service counts, since only it knows what lives; it knows no more of the rule than a number.
 */
static void session_count(struct session *session, const struct policy_rule *rule) {
    const struct session_service *service = session->setup->service;
    size_t index = (size_t)(rule - session->selection.policy->rules);
    struct session_message message = {.word = SESSION_COUNTS};
    struct channel_fds fds;
    uint8_t has_room = 0;
    size_t size = 0;
    int r;

    message.value = (uint32_t)service->counters[index];
    r = channel_send(service->control, &message, sizeof(message), NULL, 0);
    if (r == 0)
        r = channel_receive(service->control, &has_room, sizeof(has_room), &size, &fds);
    if (r < 0 || size != sizeof(has_room))
        session_refuse(session, PROTOCOL_KERNEL_REFUSED, r < 0 ? -r : EPIPE,
                       "the service does not count");
    else if (has_room == 0)
        session_refuse(session, PROTOCOL_LIMIT_REACHED, 0, "the rule's limit is reached");
}

/* What a rule that permits asks for, and only one of the two ways can give. */
static void session_check_way(struct session *session, const struct policy_rule *rule) {
    bool is_service = session->setup->service != NULL;

    if (rule->is_setuid && is_service)
        session_refuse(session, PROTOCOL_NEEDS_DIRECT, 0,
                       "the rule says setuid, and the service has no_new_privs set");
    else if (rule->limit != 0 && !is_service)
        session_refuse(session, PROTOCOL_NEEDS_SERVICE, 0,
                       "the rule has a limit, and nobody counts in direct mode");
    else if (rule->limit != 0)
        session_count(session, rule);
}

/* Step 8. */
static void session_decide(struct session *session) {
    const struct protocol_request *request = &session->request;
    struct decision decision;

    if (session_is_late(session))
        session_refuse(session, PROTOCOL_TOO_LATE, 0, "the request came too late");
    if (session->status != PROTOCOL_GRANTED)
        return;
    decision = selection_decide(&session->selection,
                                request->names & PROTOCOL_HOSTNAME ? request->hostname : NULL,
                                request->names & PROTOCOL_DOMAINNAME ? request->domainname : NULL);
    session->rule = decision.rule;
    if (decision.verdict != DECISION_PERMITTED)
        session_refuse_decision(session, &decision);
    else
        session_check_way(session, decision.rule);
}

/*
 * Where there is a service. If it is gone, so is whoever would be told; if there is no memory for
 * it, there may be now: a service that does not hear of a grant ends a command of which the
 * launcher has.
 */
static void session_tell(const struct session *session, enum session_word word) {
    const int tries = 3;
    const struct session_message message = {
        .word = (uint32_t)word,
        .value = (session->request.flags & PROTOCOL_DIES_WITH_LAUNCHER) != 0};

    for (int i = 0; i < tries && session->setup->service != NULL; i++)
        if (channel_send(session->setup->service->control, &message, sizeof(message), NULL, 0) == 0)
            return;
}

/*
 * Closes what others wait for: the end of this process may take as long as a stranger's descriptor
 * takes to be closed (a file system that does not answer).
 */
static void session_let_go(struct session *session) {
    if (session->setup->service != NULL)
        (void)close(session->setup->service->control);
    base_close_fd(&session->gate.channel);
}

/*
 * Step 9. The grant is in the log before the gate can do anything with it: who ends the session at
 * the right moment has a command, but not one that nobody knows of.
 */
static void session_release_gate(struct session *session) {
    const struct protocol_request *request = &session->request;
    struct gate_verdict verdict = {
        .names = request->names, .is_setuid = session->rule->is_setuid, .flags = request->flags};
    struct gate_report report = {.error = 0};
    int r;

    memcpy(verdict.hostname, request->hostname, sizeof(verdict.hostname));
    memcpy(verdict.domainname, request->domainname, sizeof(verdict.domainname));
    r = session_log(session, AUDIT_GRANT);
    if (r < 0) {
        session_refuse(session, PROTOCOL_NOT_LOGGED, -r, "writing to the log: errno %d", -r);
        return;
    }
    session_tell(session, SESSION_DECIDED);
    r = gate_release(&session->gate, &verdict, &session->fds);
    if (r == 0)
        r = gate_wait(&session->gate, &report);
    session->uts_namespace = report.uts_namespace;
    if (r == 0)
        return;
    if (r < 0)
        report = (struct gate_report){.status = PROTOCOL_KERNEL_REFUSED, .error = -r};
    session_refuse(session, (enum protocol_status)report.status, report.error,
                   report.status == PROTOCOL_EXEC_FAILED ? "executing the command: errno %d"
                                                         : "in the gate: errno %d",
                   report.error);
    (void)session_log(session, AUDIT_FAILURE);
    if (r > 0) /* else the gate may be the command all the same, which has an end, then */
        session_tell(session, SESSION_FAILED);
}

/* The launcher is there, but what is to be said to it does not get through. */
static bool is_shortage(int error) {
    return error < 0 && error != -EPIPE && error != -ECONNRESET;
}

/*
 * Step 10. True if the launcher has been told that it was granted. A reply whose pidfd cannot be
 * sent (unix(7), ETOOMANYREFS) is a refusal: the service, or the launcher, ends the command if it
 * finds it. For the log it stays a grant, since it may have run.
 */
static bool session_answer(struct session *session) {
    int r = session_reply(session);

    if (session->status == PROTOCOL_GRANTED && is_shortage(r)) {
        session_refuse(session, PROTOCOL_KERNEL_REFUSED, -r, "telling the launcher: errno %d", -r);
        r = session_reply(session);
    }
    return r == 0 && session->status == PROTOCOL_GRANTED;
}

/*
 * Steps 7 to 10: receives the request, decides, and does what was decided. Called behind the
 * filter; allocates and frees nothing. Returns true if the request was granted and the gate is, or
 * would have been, the command.
 */
bool session_judge(struct session *session) {
    bool is_granted = false;

    if ((session->setup->service == NULL || session_await_client(session)) &&
        session_receive(session)) {
        session_decide(session);
        if (session->status == PROTOCOL_GRANTED)
            session_release_gate(session);
        else
            (void)session_log(session, AUDIT_REFUSAL);
        is_granted = session_answer(session);
    }
    if (is_granted)
        session_tell(session, SESSION_GRANTED);
    session_let_go(session);
    return is_granted;
}
