/*
 * What a session does both before and behind its seccomp filter: note a refusal, log, reply.
 *
 * Needs no privilege. Behind the filter it may allocate no memory and make no system call but
 * sendmsg(2), so it never does.
 */

#include "broker/session/session-internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
                                   .groups_differ = session->groups_differ};

    if (session->rule != NULL) {
        reply.rule_line = session->rule->line;
        session_copy_rule_file(reply.rule_file, session->rule->file);
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
