/*
 * What a session does both before and behind its seccomp filter: note a refusal, log, reply.
 *
 * Needs no privilege. Behind the filter it may allocate no memory and make no system call but
 * sendmsg(2), recvmsg(2) and close(2), so it never does.
 */

#include "broker/session/session-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/ledger-link.h"
#include "policy/rule-key.h"
#include "utsbroker/base.h"

/*
 * Refuses the request with @status and the reason for the log, unless it is refused already.
 * @error is an errno for the reply, or 0.
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

/* Copies the end of a path that is too long: the file's name says more than the first folders. */
static void session_copy_rule_file(char *field, const char *path) {
    size_t length = strlen(path);

    if (length >= PROTOCOL_RULE_FILE_SIZE)
        path += length - (PROTOCOL_RULE_FILE_SIZE - 1);
    memcpy(field, path, strlen(path));
}

/*
 * Sends the reply to the launcher, with the command's pidfd if the request is granted.
 * Returns 0 or a negative errno: -EPIPE if the launcher has ended.
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
                                   .groups_lost = session->difference.n_groups_lost,
                                   .group = session->difference.group,
                                   .namespace_kind = session->difference.other_namespace,
                                   .inherited = session->inherited_names,
                                   .n_live = session->n_live,
                                   .limit = session->limit};

    if (session->rule != NULL) {
        reply.rule_line = session->rule->line;
        session_copy_rule_file(reply.rule_file, session->rule->file);
    }
    protocol_adapt_reply(&reply, session->version);
    return channel_send(session->channel, &reply, sizeof(reply), &session->gate.pidfd,
                        granted ? 1 : 0);
}

/* Copies a string that fits: it is shorter than @size, or cut off. */
static void event_copy(char *field, size_t size, const char *string) {
    size_t length = strlen(string);

    memcpy(field, string, length < size ? length : size - 1);
}

/* What the log says of this request. */
static void session_fill_event(const struct session *session, enum ledger_kind kind, bool may_run,
                               struct ledger_event *event) {
    const struct protocol_request *request = &session->request;

    *event = (struct ledger_event){.version = LEDGER_VERSION,
                                   .kind = kind,
                                   .mode = session->setup->service != NULL ? LEDGER_SERVICE
                                                                           : LEDGER_DIRECT,
                                   .names = request->names,
                                   .pid = kind == LEDGER_FAILURE ? session->gate.pid : 0,
                                   .may_run = may_run};
    memcpy(event->hostname, request->hostname, sizeof(event->hostname));
    memcpy(event->domainname, request->domainname, sizeof(event->domainname));
    memcpy(event->command, request->command, sizeof(event->command));
    event_copy(event->reason, sizeof(event->reason), session->reason);
    if (session->subject.known_name != NULL)
        event_copy(event->user, sizeof(event->user), session->subject.known_name);
    if (session->rule != NULL) {
        event->rule_key = rule_key_make(session->selection.policy, session->rule);
        event->rule_line = session->rule->line;
        event->limit = kind == LEDGER_ENTER ? session->rule->limit : 0;
        session_copy_rule_file(event->rule_file, session->rule->file);
    }
}

/* Without a ledger. Its lines have the gate's pid in each grant, which the ledger reads itself. */
static int session_log_to_syslog(const struct session *session, const struct ledger_event *event) {
    struct log_line line;

    log_line_from_event(&line, event, session->subject.uid);
    if (event->kind == LEDGER_ENTER)
        line.pid = session->gate.pid;
    return syslog_write(&session->syslog, &line);
}

/* The ledger does not permit one command more. */
static void session_note_limit(struct session *session, const struct ledger_reply *reply) {
    session->n_live = reply->n_live;
    session->limit = reply->limit;
    session_refuse(
        session, reply->status == LEDGER_LIMIT_REACHED ? PROTOCOL_LIMIT_REACHED : PROTOCOL_TOO_MANY,
        0, "limit reached");
}

/*
 * Receives what the ledger says first, unless that is done. A ledger that does not answer is not
 * waited for again. Returns 0, also without a ledger; a negative errno.
 */
int session_hear_ledger(struct session *session) {
    int r = session->ledger < 0 || session->hello.version != 0
                ? 0
                : ledger_link_receive_hello(session->ledger, &session->hello);

    if (r < 0)
        base_close_fd(&session->ledger);
    return r;
}

/* What the ledger's reply to an event means for the request. Returns 0 or a negative errno. */
static int session_take_reply(struct session *session, const struct ledger_reply *reply) {
    switch ((enum ledger_status)reply->status) {
    case LEDGER_ENTERED:
        return 0;
    case LEDGER_LIMIT_REACHED:
    case LEDGER_TOO_MANY:
        session_note_limit(session, reply);
        return 0;
    case LEDGER_NOT_LOGGED:
    case LEDGER_BAD_EVENT:
    case LEDGER_ENDS:
    case LEDGER_STATUS_COUNT:
    default:
        return reply->error > 0 ? -reply->error : -EPROTO;
    }
}

/*
 * Sends the line of @kind to the log; session_log_await() must follow if that succeeds. @may_run is
 * for a failure: its command may run all the same. Returns 0 or a negative errno: it is not logged.
 */
int session_log_send(struct session *session, enum ledger_kind kind, bool may_run) {
    struct ledger_event event;

    /* There is a ledger that did not answer: syslog would neither keep the line nor count. */
    if (session->ledger < 0 && !session->has_no_ledger && kind == LEDGER_ENTER)
        return -EAGAIN;
    session_fill_event(session, kind, may_run, &event);
    if (session->ledger < 0)
        return session_log_to_syslog(session, &event);
    return ledger_link_send(session->ledger, &event,
                            kind == LEDGER_ENTER ? session->gate.pidfd : -1);
}

/*
 * Waits until the ledger, if there is one, has the line of session_log_send(): only then may a gate
 * be released. An enter is also counted, and refuses the request if a limit is reached. Returns 0,
 * also if the ledger refuses the request, which is logged then; a negative errno: it is not logged.
 */
int session_log_await(struct session *session) {
    struct ledger_reply reply;
    int r;

    if (session->ledger < 0)
        return 0;
    r = session_hear_ledger(session);
    if (r == 0)
        r = ledger_link_receive_reply(session->ledger, &reply);
    return r < 0 ? r : session_take_reply(session, &reply);
}

/* Has the line of @kind logged: both of the above. */
int session_log(struct session *session, enum ledger_kind kind, bool may_run) {
    int r = session_log_send(session, kind, may_run);

    return r < 0 ? r : session_log_await(session);
}

/*
 * Sends @word to the service, if there is one. Tries again if the kernel has no memory for the
 * record: a service that misses a grant would end a command of which the launcher knows. If the
 * service has ended, nobody needs the message.
 */
void session_tell_service(const struct session *session, enum session_word word) {
    const int n_tries = 3;
    struct session_message message = {.word = (uint32_t)word};

    if ((session->request.flags & PROTOCOL_DIES_WITH_LAUNCHER) != 0)
        message.value |= SESSION_DIES_WITH_LAUNCHER;
    if ((session->request.flags & PROTOCOL_HANGS_UP) != 0)
        message.value |= SESSION_HANGS_UP;
    if (session->hello.wants_status != 0)
        message.value |= SESSION_WANTS_STATUS;
    for (int i = 0; i < n_tries && session->setup->service != NULL; i++)
        if (channel_send(session->setup->service->control, &message, sizeof(message), NULL, 0) == 0)
            return;
}
