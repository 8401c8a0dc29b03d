#include "broker/session/session.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "broker/session/filter.h"
#include "broker/privilege.h"
#include "broker/session/session-internal.h"

/* A privileged step failed: nothing after it can be relied on, so nothing is done after it. */
static _Noreturn void session_die(struct session *session, const char *step, int error) {
    session_refuse(session, PROTOCOL_KERNEL_REFUSED, -error, "%s failed", step);
    if (session->setup->service != NULL)
        (void)audit_open(&session->audit, AUDIT_SOCKET, 0); /* there is no client to say it to */
    (void)session_log(session, AUDIT_REFUSAL);
    (void)session_reply(session);
    _exit(SESSION_EXIT_REFUSED);
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

/* Who asks: this process's own ids; what the service starts has its own. */
static void session_identify(struct session *session) {
    int r = subject_init_self(&session->subject);

    if (r == 0 && clock_gettime(CLOCK_MONOTONIC, &session->loaded) < 0)
        r = -errno;
    if (r < 0)
        session_die(session, "reading who asks", r);
}

/* Step 2. The policy, and which rules of it are for this user; without one all is refused. */
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
        /* The service has logged the error, once. */
        bool is_logged = setup->service != NULL && snapshot->status == PROTOCOL_POLICY_INVALID;

        session_refuse(session, snapshot->status, snapshot->error, "%s",
                       is_logged ? "the policy has an error" : snapshot->reason);
        return;
    }
    r = selection_init(&session->selection, &snapshot->policy, &session->subject, &failed);
    if (r < 0)
        session_refuse(session, PROTOCOL_POLICY_INVALID, -r,
                       "%s:%u: looking up a user or group: %s",
                       failed != NULL ? failed->file : "policy", failed != NULL ? failed->line : 0,
                       strerror(-r));
}

/*
 * Step 3. What cannot be written down is not given; but no daemon is no reason. The service
 * connects for each client: a daemon may be another by then.
 */
static void session_open_log(struct session *session) {
    int r;

    if (session->setup->service != NULL) {
        session->audit.pid = getpid();
        return;
    }
    r = audit_open(&session->audit, AUDIT_SOCKET, 0);

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
    const struct timeval patience = {.tv_sec = SESSION_PATIENCE_SECONDS};

    if (setsockopt(session->channel, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        session_die(session, "limiting the wait", -errno);
}

/* Who made the channel (unix(7), SO_PEERCRED): the launcher, as long as it is the parent. */
static pid_t session_find_launcher(const struct session *session) {
    struct ucred credentials = {.pid = 0};
    socklen_t size = sizeof(credentials);

    return getsockopt(session->channel, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0
               ? 0
               : credentials.pid;
}

static int session_make_gate(struct session *session) {
    const struct session_service *service = session->setup->service;
    const struct gate_setup setup = {
        /* The service has no_new_privs set already, but nobody is to rely on that. */
        .may_setuid = session->selection.has_setuid && service == NULL,
        .is_service = service != NULL,
        .launcher = service == NULL ? session_find_launcher(session) : 0,
        .session_fds = {session->channel, service != NULL ? service->control : -1}};
    /* The service looks at this limit when it knows its client's. */
    int r = service == NULL ? gate_check_limit() : 0;

    if (r < 0)
        return r;
    r = privilege_raise_sys_admin();
    if (r < 0)
        session_die(session, "raising CAP_SYS_ADMIN", r);
    return gate_open(&session->gate, &setup);
}

/* The service must know its child, or that there is none, before anybody can release it. */
static void session_report_gate(struct session *session) {
    const struct session_message message = {.word = SESSION_HAS_GATE,
                                            .value = (uint32_t)session->gate.pid};
    const struct session_service *service = session->setup->service;
    int r = channel_send(service->control, &message, sizeof(message), NULL, 0);

    if (r < 0 && service->is_ahead) /* the service is gone, or does not wait for it any more */
        _exit(SESSION_EXIT_REFUSED);
    if (r < 0)
        session_die(session, "telling the service", r);
}

/*
 * True if the service has given its client to this session, which then has to answer; from now on
 * it gives it none (shutdown(2): its next send fails, and it has another session made).
 */
static bool session_has_client(const struct session_service *service) {
    char byte;

    (void)shutdown(service->control, SHUT_RD);
    return recv(service->control, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Step 4. Not even a gate is made for a request that is refused already. */
static void session_open_gate(struct session *session) {
    const struct session_service *service = session->setup->service;
    int r;

    if (session->status != PROTOCOL_GRANTED) {
        if (service != NULL)
            session_report_gate(session);
        return;
    }
    r = session_make_gate(session);
    if (r < 0 && service != NULL && service->is_ahead && !session_has_client(service))
        _exit(SESSION_EXIT_REFUSED);
    if (service != NULL)
        session_report_gate(session);
    if (r == 0 && service == NULL) {
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

/* The order of these steps is the security of the whole. */
static int session_serve(const struct session_setup *setup) {
    struct session session = {.setup = setup,
                              .channel = setup->channel,
                              .own_snapshot = POLICY_SNAPSHOT_NULL,
                              .audit = AUDIT_NULL,
                              .gate = GATE_NULL};

    session_take_privilege(&session);
    session_identify(&session);
    session_load_policy(&session);
    session_open_log(&session);
    session_open_gate(&session);
    session_confine(&session);
    return session_judge(&session) ? SESSION_EXIT_GRANTED : SESSION_EXIT_REFUSED;
}

/*
 * Serves one request and ends, with a status of SESSION_EXIT_GRANTED or SESSION_EXIT_REFUSED. What
 * is refused early is refused at the end, so that every refusal is made with the same nothing in
 * hand, has the asked-for names in the log, and gets a reply.
 *
 * It ends by _exit(2): behind the filter not even memory may be given back. Not instrumented, as a
 * sanitizer's runtime would look at the signal stack before a call that does not return, and the
 * filter has no exception for it.
 */
__attribute__((no_sanitize("address"))) _Noreturn void
session_run(const struct session_setup *setup) {
    _exit(session_serve(setup));
}
