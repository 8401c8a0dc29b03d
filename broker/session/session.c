/*
 * Steps 1 to 6 of a session, the privileged ones, and its end. Step 7 is in receive.c, steps 8 to
 * 10 are in decide.c.
 *
 * Runs as the user, in direct mode as the whole broker, in service mode as a fork of the service.
 * It holds CAP_SYS_ADMIN until step 5 and reads nothing from a stranger before step 7. The order of
 * the steps is the security of the whole:
 *
 *    1  keep CAP_SYS_ADMIN only; forbid others to attach
 *    2  load the policy and select the rules for this user
 *    3  make the gate, while CAP_SYS_ADMIN is effective and before there is a filter to inherit
 *    4  connect to the ledger, likewise, and after the gate, which must not have the connection
 *    5  drop every capability
 *    6  set no_new_privs, load the seccomp filter
 *
 * A refusal on the way does not end the session at once. It goes on to step 10, so that the refusal
 * is made without privilege, has the requested names in the log, and gets a reply. Only a
 * privileged step that fails ends it at once (session_die()).
 */

#include "broker/session/session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "broker/ledger-link.h"
#include "broker/own-namespace.h"
#include "broker/privilege.h"
#include "broker/session/decide.h"
#include "broker/session/error-text.h"
#include "broker/session/filter.h"
#include "broker/session/session-internal.h"
#include "utsbroker/base.h"

/*
 * Ends the session because @step, an infinitive, failed with @error, a negative errno. The later
 * steps rely on every earlier one, so none is tried.
 */
static _Noreturn void session_die(struct session *session, const char *step, int error) {
    session_refuse(session, PROTOCOL_KERNEL_REFUSED, -error, "cannot %s: %s", step,
                   error_text(-error));
    /* Without a connection to the ledger it is better in syslog than nowhere. */
    if (session->ledger < 0)
        (void)syslog_open(&session->syslog, SYSLOG_SOCKET);
    (void)session_log(session, LEDGER_REFUSAL, false);
    (void)session_reply(session);
    _exit(SESSION_EXIT_REFUSED);
}

/* Step 1. Without the capability the session goes on, without privilege, to send that refusal. */
static void session_keep_privilege(struct session *session) {
    int r = privilege_keep_sys_admin();

    if (r == PRIVILEGE_E_MISSING)
        session_refuse(session, PROTOCOL_NO_CAPABILITY, EPERM,
                       "the broker was started without CAP_SYS_ADMIN");
    else if (r < 0)
        session_die(session, "keep CAP_SYS_ADMIN only", r);
    r = privilege_forbid_attach();
    if (r < 0)
        session_die(session, "forbid other processes to attach", r);
}

/* Reads the user's ids: they are this process's own, as it runs as the user. */
static void session_read_identity(struct session *session) {
    int r = subject_init_self(&session->subject);

    if (r == 0 && clock_gettime(CLOCK_MONOTONIC, &session->loaded) < 0)
        r = -errno;
    if (r < 0)
        session_die(session, "read the user's ids", r);
}

/*
 * Reads the names that the gate will inherit, and in which namespace they are. What cannot be read
 * counts as another namespace than the machine's own.
 */
static void session_read_own_names(struct session *session) {
    struct uts_names *own = &session->own_names;
    CLEANUP_FD int space = -1;
    struct utsname names;
    struct stat status;

    if (uname(&names) < 0)
        session_die(session, "read the names of this UTS namespace", -errno);
    (void)snprintf(own->hostname, sizeof(own->hostname), "%s", names.nodename);
    (void)snprintf(own->domainname, sizeof(own->domainname), "%s", names.domainname);
    if (own_namespace_open(OWN_NAMESPACE_UTS, &space) < 0 || fstat(space, &status) < 0)
        return;
    own->device = status.st_dev;
    own->inode = status.st_ino;
}

/* Step 2. Loads the policy and selects this user's rules. Without a policy it refuses. */
static void session_load_policy(struct session *session) {
    const struct session_setup *setup = session->setup;
    const struct policy_snapshot *snapshot = &session->own_snapshot;
    const struct policy_rule *failed;
    int r;

    if (session->status != PROTOCOL_GRANTED)
        return;
    if (setup->service != NULL)
        snapshot = setup->service->snapshot;
    else
        policy_snapshot_load(&session->own_snapshot, setup->policy_folders,
                             setup->n_policy_folders);
    if (snapshot->status != PROTOCOL_GRANTED) {
        session_refuse(session, snapshot->status, snapshot->error, "%s", snapshot->reason);
        return;
    }
    r = selection_init(&session->selection, &snapshot->policy, &session->subject, &failed);
    if (r < 0)
        session_refuse(session, PROTOCOL_POLICY_INVALID, -r,
                       "%s:%u: cannot look up a user or group: %s",
                       failed != NULL ? failed->file : "policy", failed != NULL ? failed->line : 0,
                       error_text(-r));
}

/*
 * Blocks the signals that a terminal sends to the whole process group. The gate, which is then the
 * command, decides what they do; the session must live on to report it. It ends soon, or when the
 * launcher ends.
 */
static void session_block_terminal_signals(struct session *session) {
    sigset_t set;

    if (sigemptyset(&set) < 0 || sigaddset(&set, SIGINT) < 0 || sigaddset(&set, SIGQUIT) < 0 ||
        sigaddset(&set, SIGHUP) < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        session_die(session, "block signals", -errno);
}

/*
 * Limits how long the session waits for the request: the gate holds the capability meanwhile. A
 * launcher can wait longer (the socket is its own, too); the policy is too old for it then.
 */
static void session_limit_wait_for_request(struct session *session) {
    const struct timeval patience = {.tv_sec = SESSION_PATIENCE_SECONDS};

    if (setsockopt(session->channel, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        session_die(session, "limit the wait for the request", -errno);
}

/* Has gate_wait() return now and then, so that the service can be told that the gate takes long. */
static void session_limit_wait_for_gate(struct session *session) {
    const struct timeval patience = {.tv_sec = SESSION_GATE_SECONDS};

    if (setsockopt(session->gate.channel, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        session_die(session, "limit the wait for the gate", -errno);
}

/*
 * Returns the pid of the process that made the channel (unix(7), SO_PEERCRED): the launcher, if it
 * is still the parent, which the gate checks. Returns 0 on error.
 */
static pid_t session_find_launcher(const struct session *session) {
    struct ucred credentials = {.pid = 0};
    socklen_t size = sizeof(credentials);

    return getsockopt(session->channel, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0
               ? 0
               : credentials.pid;
}

/* Makes CAP_SYS_ADMIN effective, until step 5. */
static void session_raise_privilege(struct session *session) {
    int r = session->is_privileged ? 0 : privilege_raise_sys_admin();

    if (r < 0)
        session_die(session, "raise CAP_SYS_ADMIN", r);
    session->is_privileged = true;
}

/* Makes the gate with CAP_SYS_ADMIN effective. Returns 0 or a negative errno. */
static int session_make_gate(struct session *session) {
    const struct session_service *service = session->setup->service;
    const struct gate_setup setup = {
        /* The service has no_new_privs set already; this does not rely on it. */
        .may_setuid = session->selection.has_setuid && service == NULL,
        .is_service = service != NULL,
        .launcher = service == NULL ? session_find_launcher(session) : 0,
        .session_fds = {session->channel, service != NULL ? service->control : -1}};
    /* The service checks this limit for each client, when it knows the client's own. */
    int r = service == NULL ? gate_check_limit() : 0;

    if (r < 0)
        return r;
    session_raise_privilege(session);
    return gate_open(&session->gate, &setup);
}

/*
 * Sends the gate's pid to the service. The gate is the service's child, and the service must know
 * it before anything can release it; else it could reap a child that it does not know.
 */
static void session_report_gate(struct session *session) {
    const struct session_message message = {.word = SESSION_HAS_GATE,
                                            .value = (uint32_t)session->gate.pid};
    const struct session_service *service = session->setup->service;
    int r = channel_send(service->control, &message, sizeof(message), NULL, 0);

    /* The service has ended, or needs this ready session no more. */
    if (r < 0 && service->is_ahead)
        _exit(SESSION_EXIT_REFUSED);
    if (r < 0)
        session_die(session, "report the gate to the service", r);
}

/*
 * True if the service has given a client to this session, which then must reply to it. The service
 * gives it none from now on: after the shutdown(2) its send fails, and it makes another session.
 */
static bool session_close_to_clients(const struct session_service *service) {
    char byte;

    (void)shutdown(service->control, SHUT_RD);
    return recv(service->control, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Step 3. Makes the gate, unless the request is refused already. */
static void session_open_gate(struct session *session) {
    const struct session_service *service = session->setup->service;
    int r;

    if (session->status != PROTOCOL_GRANTED) {
        if (service != NULL)
            session_report_gate(session);
        return;
    }
    r = session_make_gate(session);
    if (r < 0 && service != NULL && service->is_ahead && !session_close_to_clients(service))
        _exit(SESSION_EXIT_REFUSED);
    if (service != NULL)
        session_report_gate(session);
    if (r == 0 && service != NULL)
        session_limit_wait_for_gate(session);
    if (r == 0 && service == NULL) {
        session_block_terminal_signals(session);
        session_limit_wait_for_request(session);
    }
    if (r < 0)
        session_refuse(session, PROTOCOL_KERNEL_REFUSED, -r,
                       "cannot make a process in a new UTS namespace: %s", error_text(-r));
}

/*
 * Step 4. Connects to the ledger, and stays in its network namespace: the filter permits no socket
 * any more, and syslog's is found by its path (unix(7)). A grant that cannot be logged is refused;
 * only a machine without a ledger logs to syslog. The service connects to that for each client, as
 * the daemon may be restarted until then.
 */
static void session_open_log(struct session *session) {
    int r;

    if (session->status == PROTOCOL_NO_CAPABILITY) {
        (void)syslog_open(&session->syslog, SYSLOG_SOCKET);
        return;
    }
    session_raise_privilege(session);
    r = ledger_link_open(0, false, &session->ledger);
    session->has_no_ledger = r == LEDGER_LINK_E_NONE;
    if (r < 0) {
        (void)syslog_open(&session->syslog, SYSLOG_SOCKET);
        session_refuse(session, PROTOCOL_NOT_LOGGED, -r, "cannot reach the ledger: %s",
                       error_text(-r));
    }
    session->syslog.pid = getpid();
    if (r != LEDGER_LINK_E_NONE || session->setup->service != NULL)
        return;
    r = syslog_open(&session->syslog, SYSLOG_SOCKET);
    if (r < 0)
        session_refuse(session, PROTOCOL_NOT_LOGGED, -r, "cannot open the log: %s", error_text(-r));
}

/* Steps 5 and 6. After them the session can send, receive and close, and nothing else. */
static void session_confine(struct session *session) {
    int r = privilege_drop_all();

    if (r < 0)
        session_die(session, "drop every capability", r);
    r = privilege_forbid_new();
    if (r < 0)
        session_die(session, "set no_new_privs", r);
    r = session_filter_load();
    if (r < 0)
        session_die(session, "load the seccomp filter", r);
}

/* Does all the steps, in the order that this file's header gives. Returns the exit status. */
static int session_serve_request(const struct session_setup *setup) {
    struct session session = {.setup = setup,
                              .channel = setup->channel,
                              .version = PROTOCOL_VERSION,
                              .own_snapshot = POLICY_SNAPSHOT_NULL,
                              .ledger = -1,
                              .syslog = SYSLOG_LINK_NULL,
                              .gate = GATE_NULL};

    session_keep_privilege(&session);
    session_read_identity(&session);
    if (setup->service == NULL)
        session_read_own_names(&session);
    session_load_policy(&session);
    session_open_gate(&session);
    session_open_log(&session);
    session_confine(&session);
    return decide_request(&session) ? SESSION_EXIT_GRANTED : SESSION_EXIT_REFUSED;
}

/*
 * Serves one request and ends this process, with SESSION_EXIT_GRANTED or SESSION_EXIT_REFUSED.
 *
 * It ends by _exit(2), since the filter does not even permit to free memory. It is not
 * instrumented: a sanitizer's runtime looks at the signal stack before a call that does not return,
 * and the filter has no exception for that.
 */
__attribute__((no_sanitize("address"))) _Noreturn void
session_run(const struct session_setup *setup) {
    _exit(session_serve_request(setup));
}
