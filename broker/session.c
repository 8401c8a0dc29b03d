#include "broker/session.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "broker/audit.h"
#include "broker/filter.h"
#include "broker/gate.h"
#include "broker/privilege.h"
#include "policy/decision.h"
#include "policy/loader.h"
#include "policy/rules.h"
#include "policy/subject.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

static const time_t session_patience_seconds = 10;

/*
 * All that a session knows. @status is PROTOCOL_GRANTED as long as nothing speaks against the
 * request; what is refused once stays refused, and @reason says why, for the log.
 */
struct session {
    const struct session_setup *setup;
    enum protocol_status status;
    int error; /* an errno, or 0 */
    char reason[256];
    unsigned refused_names;

    struct policy policy;
    unsigned n_policy_errors;
    struct subject subject;
    struct selection selection;
    const struct policy_rule *rule; /* that decided */
    struct audit audit;
    struct gate gate;
    struct timespec loaded; /* when the policy was, CLOCK_MONOTONIC */

    struct protocol_request request; /* all zero until a good one is there */
    int launch_fd;
};

__attribute__((format(printf, 4, 5))) static void session_refuse(struct session *session,
                                                                 enum protocol_status status,
                                                                 int error, const char *format,
                                                                 ...) {
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

static void session_reply(const struct session *session) {
    bool granted = session->status == PROTOCOL_GRANTED;
    struct protocol_reply reply = {.version = PROTOCOL_VERSION,
                                   .status = session->status,
                                   .error = session->error,
                                   .pid = granted ? session->gate.pid : 0,
                                   .names = session->refused_names};

    if (session->rule != NULL) {
        reply.rule_line = session->rule->line;
        rule_file_copy(reply.rule_file, session->rule->file);
    }
    /* A launcher that is gone needs no reply. */
    (void)channel_send(session->setup->channel, &reply, sizeof(reply), &session->gate.pidfd,
                       granted ? 1 : 0);
}

static int session_log(const struct session *session, enum audit_kind kind) {
    const struct protocol_request *request = &session->request;
    struct audit_event event = {
        .kind = kind,
        .user = session->subject.known_name,
        .uid = session->subject.uid,
        .hostname = request->names & PROTOCOL_HOSTNAME ? request->hostname : NULL,
        .domainname = request->names & PROTOCOL_DOMAINNAME ? request->domainname : NULL,
        .rule = session->rule,
        .pid = kind == AUDIT_REFUSAL ? 0 : session->gate.pid,
        .mode = "direct",
        .reason = session->reason[0] != '\0' ? session->reason : NULL,
    };

    return audit_write(&session->audit, &event);
}

/* A privileged step failed: nothing after it can be relied on, so nothing is done after it. */
static _Noreturn void session_die(struct session *session, const char *step, int error) {
    session_refuse(session, PROTOCOL_KERNEL_REFUSED, -error, "%s failed", step);
    (void)session_log(session, AUDIT_REFUSAL);
    session_reply(session);
    _exit(1);
}

/* Step 1. Without the capability the session goes on, to say so, with nothing to lose. */
static void session_take_privilege(struct session *session) {
    int r = privilege_keep_sys_admin();

    if (r == PRIVILEGE_E_MISSING)
        session_refuse(session, PROTOCOL_NO_CAPABILITY, EPERM, "started without CAP_SYS_ADMIN");
    else if (r < 0)
        session_die(session, "keeping CAP_SYS_ADMIN only", r);
    r = privilege_forbid_attach();
    if (r < 0)
        session_die(session, "forbidding to attach", r);
}

/* The first error is told whole; the rest are counted. */
static void session_note_policy_error(void *context, const struct policy_error *error) {
    struct session *session = context;

    session->n_policy_errors++;
    if (error->line > 0)
        session_refuse(session, PROTOCOL_POLICY_INVALID, 0, "%s:%u:%u: %s", error->file,
                       error->line, error->column, error->message);
    else
        session_refuse(session, PROTOCOL_POLICY_INVALID, 0, "%s: %s", error->file, error->message);
}

static void session_count_policy_errors(struct session *session) {
    size_t length = strlen(session->reason);

    if (session->n_policy_errors > 1)
        (void)snprintf(session->reason + length, sizeof(session->reason) - length,
                       " (and %u more errors)", session->n_policy_errors - 1);
}

/* Step 2. Who asks, and which rules are for them; a policy that cannot be had refuses. */
static void session_load_policy(struct session *session) {
    const struct policy_rule *failed;
    int r = subject_init_self(&session->subject);

    if (r == 0 && clock_gettime(CLOCK_MONOTONIC, &session->loaded) < 0)
        r = -errno;
    if (r < 0)
        session_die(session, "reading who asks", r);
    if (session->status != PROTOCOL_GRANTED)
        return;
    r = policy_load(&session->policy, session->setup->policy_folders,
                    session->setup->n_policy_folders, session_note_policy_error, session);
    if (r < 0)
        session_refuse(session, PROTOCOL_KERNEL_REFUSED, -r, "loading the policy: %s",
                       strerror(-r));
    session_count_policy_errors(session);
    if (session->status != PROTOCOL_GRANTED)
        return;
    r = selection_init(&session->selection, &session->policy, &session->subject, &failed);
    if (r < 0)
        session_refuse(session, PROTOCOL_POLICY_INVALID, -r,
                       "%s:%u: looking up a user or group: %s",
                       failed != NULL ? failed->file : "policy", failed != NULL ? failed->line : 0,
                       strerror(-r));
}

/* Step 3. What cannot be written down is not given; but no daemon is no reason. */
static void session_open_log(struct session *session) {
    int r = audit_open(&session->audit, AUDIT_SOCKET);

    if (r < 0)
        session_refuse(session, PROTOCOL_NOT_LOGGED, -r, "opening the log: %s", strerror(-r));
}

/*
 * What a terminal sends to the whole group is the gate's and then the command's to die of or not.
 * The session only lives on to say so: it ends in a moment, or when the launcher does.
 */
static void session_leave_interrupts_to_gate(struct session *session) {
    sigset_t set;

    if (sigemptyset(&set) < 0 || sigaddset(&set, SIGINT) < 0 || sigaddset(&set, SIGQUIT) < 0 ||
        sigaddset(&set, SIGHUP) < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        session_die(session, "blocking signals", -errno);
}

/* A gate holds the capability while it waits: a launcher that says nothing lets neither wait on. */
static void session_limit_patience(struct session *session) {
    const struct timeval patience = {.tv_sec = session_patience_seconds};

    if (setsockopt(session->setup->channel, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) <
        0)
        session_die(session, "limiting the wait", -errno);
}

/* Step 4. Not even a gate is made for a request that is refused already. */
static void session_open_gate(struct session *session) {
    int r;

    if (session->status != PROTOCOL_GRANTED)
        return;
    r = gate_check_limit();
    if (r == 0) {
        r = privilege_raise_sys_admin();
        if (r < 0)
            session_die(session, "raising CAP_SYS_ADMIN", r);
        r = gate_open(&session->gate, session->selection.has_setuid, session->setup->channel);
    }
    if (r == 0) {
        session_leave_interrupts_to_gate(session);
        session_limit_patience(session);
    }
    if (r < 0)
        session_refuse(session, PROTOCOL_KERNEL_REFUSED, -r, "clone3(CLONE_NEWUTS): %s",
                       strerror(-r));
}

/* Steps 5 and 6. Behind this line the session can talk, and nothing else. */
static void session_confine(struct session *session) {
    int r = privilege_drop_all();

    if (r < 0)
        session_die(session, "dropping every capability", r);
    r = privilege_forbid_new();
    if (r < 0)
        session_die(session, "setting no_new_privs", r);
    r = filter_load();
    if (r < 0)
        session_die(session, "loading the filter", r);
}

/* Step 7. The first stranger's byte. False if the launcher is gone and nothing is to be done. */
static bool session_receive(struct session *session) {
    struct protocol_request record;
    struct channel_fds fds = {.n_fds = 0};
    size_t size = 0;
    int r = channel_receive(session->setup->channel, &record, sizeof(record), &size, &fds);

    if (r == 0 && size == 0)
        return false;
    if (r == -EAGAIN)
        r = PROTOCOL_TOO_LATE;
    else if (r == 0)
        r = protocol_decode_request(&record, size, fds.n_fds, &session->request);
    else
        r = PROTOCOL_BAD_REQUEST;
    /* What came with a bad record is closed by the end: close(2) of a stranger's file can block. */
    if (r != PROTOCOL_GRANTED) {
        session_refuse(session, (enum protocol_status)r, 0, "%s",
                       r == PROTOCOL_TOO_LATE      ? "no request came"
                       : r == PROTOCOL_BAD_VERSION ? "a request of another version"
                                                   : "a malformed request");
        return true;
    }
    session->launch_fd = fds.fds[0];
    return true;
}

/*
 * Whoever waits with a request waits with the policy as it was. What the administrator has changed
 * since holds for them too, a few seconds later.
 */
static bool session_is_late(const struct session *session) {
    struct timespec now;

    return clock_gettime(CLOCK_MONOTONIC, &now) < 0 ||
           now.tv_sec - session->loaded.tv_sec > session_patience_seconds;
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
    else if (decision.rule->limit != 0)
        session_refuse(session, PROTOCOL_NEEDS_SERVICE, 0,
                       "the rule has a limit, and nobody counts in direct mode");
}

/*
 * Step 9. The grant is in the log before the gate can do anything with it: who ends the session at
 * the right moment has a command, but not one that nobody knows of.
 */
static void session_release_gate(struct session *session) {
    const struct protocol_request *request = &session->request;
    struct gate_verdict verdict = {.names = request->names, .is_setuid = session->rule->is_setuid};
    struct gate_report report = {.error = 0};
    int r;

    memcpy(verdict.hostname, request->hostname, sizeof(verdict.hostname));
    memcpy(verdict.domainname, request->domainname, sizeof(verdict.domainname));
    r = session_log(session, AUDIT_GRANT);
    if (r < 0) {
        session_refuse(session, PROTOCOL_NOT_LOGGED, -r, "writing to the log: errno %d", -r);
        return;
    }
    r = gate_release(&session->gate, &verdict, session->launch_fd);
    if (r == 0)
        r = gate_wait(&session->gate, &report);
    if (r == 0)
        return;
    if (r < 0)
        report = (struct gate_report){.status = PROTOCOL_KERNEL_REFUSED, .error = -r};
    session_refuse(session, (enum protocol_status)report.status, report.error,
                   report.status == PROTOCOL_EXEC_FAILED ? "executing the command: errno %d"
                                                         : "in the gate: errno %d",
                   report.error);
    (void)session_log(session, AUDIT_FAILURE);
}

/* The order of these steps is the security of the whole. */
static void session_serve(const struct session_setup *setup) {
    struct session session = {
        .setup = setup, .audit = AUDIT_NULL, .gate = GATE_NULL, .launch_fd = -1};

    session_take_privilege(&session);
    session_load_policy(&session);
    session_open_log(&session);
    session_open_gate(&session);
    session_confine(&session);
    if (!session_receive(&session))
        return;
    session_decide(&session);
    if (session.status == PROTOCOL_GRANTED)
        session_release_gate(&session);
    else
        (void)session_log(&session, AUDIT_REFUSAL);
    session_reply(&session);
}

/*
 * Serves one request and ends. What is refused early is refused at the end, so that every refusal
 * is made with the same nothing in hand, has the asked-for names in the log, and gets a reply.
 *
 * It ends by _exit(2): behind the filter not even memory may be given back. Not instrumented, as a
 * sanitizer's runtime would look at the signal stack before a call that does not return, and the
 * filter has no exception for it.
 */
__attribute__((no_sanitize("address"))) _Noreturn void
session_run(const struct session_setup *setup) {
    session_serve(setup);
    _exit(0);
}
