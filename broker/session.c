#include "broker/session.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "broker/filter.h"
#include "broker/privilege.h"
#include "broker/session-state.h"

/* A privileged step failed: nothing after it can be relied on, so nothing is done after it. */
static _Noreturn void session_die(struct session *session, const char *step, int error) {
    session_refuse(session, PROTOCOL_KERNEL_REFUSED, -error, "%s failed", step);
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

/* What the user would leave behind if the service started their command is not left behind. */
static void session_examine_peer(struct session *session) {
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
    int r = peer_examine(&session->peer, session->channel, &session->subject,
                         session->setup->service->reference);

    if (r > 0 && session->status == PROTOCOL_GRANTED)
        session->confinement = (enum protocol_confinement)r;
    if (r > 0)
        session_refuse(session, PROTOCOL_CALLER_CONFINED, 0, "%s", reasons[r]);
    else if (r < 0)
        session_refuse(session, PROTOCOL_KERNEL_REFUSED, -r, "looking at the caller: %s",
                       strerror(-r));
}

/* The service's session waits here: all before it needs no client. Without one it just ends. */
static void session_await_client(struct session *session) {
    struct session_client client;
    struct channel_fds fds;
    size_t size = 0;
    int r = channel_receive(session->setup->service->control, &client, sizeof(client), &size, &fds);

    if (r < 0 || size != sizeof(client) || fds.n_fds != 1)
        _exit(SESSION_EXIT_REFUSED);
    session->channel = fds.fds[0];
    session->is_late = client.is_late != 0;
    if (session->is_late)
        session_refuse(session, PROTOCOL_TOO_LATE, 0, "no request came");
}

/* Who asks: this process's own ids, and in the service whoever connected must be no less. */
static void session_identify(struct session *session) {
    int r = subject_init_self(&session->subject);

    if (r < 0)
        session_die(session, "reading who asks", r);
    if (session->setup->service != NULL) {
        session_await_client(session);
        session_examine_peer(session);
    }
    if (clock_gettime(CLOCK_MONOTONIC, &session->loaded) < 0)
        session_die(session, "reading the clock", -errno);
}

/* Step 2. The policy, and which rules of it are for this user; without one all is refused. */
static void session_load_policy(struct session *session) {
    const struct session_setup *setup = session->setup;
    const struct rulebook *rulebook = &session->loaded_rulebook;
    const struct policy_rule *failed;
    int r;

    if (session->status != PROTOCOL_GRANTED)
        return;
    if (setup->service != NULL)
        rulebook = setup->service->rulebook;
    else
        rulebook_load(&session->loaded_rulebook, setup->policy_folders, setup->n_policy_folders);
    if (rulebook->status != PROTOCOL_GRANTED) {
        session_refuse(session, rulebook->status, rulebook->error, "%s", rulebook->reason);
        return;
    }
    r = selection_init(&session->selection, &rulebook->policy, &session->subject, &failed);
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
    struct timeval patience = {.tv_sec = SESSION_PATIENCE_SECONDS};

    if (session->setup->service != NULL)
        patience.tv_sec = SESSION_SILENCE_SECONDS;
    if (session->is_late)
        patience = (struct timeval){.tv_usec = 1};
    if (setsockopt(session->channel, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        session_die(session, "limiting the wait", -errno);
}

/* A caller with a higher limit than the service is held to the service's, by its fork(2). */
static int session_check_processes(const struct limits *limits) {
    struct rlimit own;
    int r;

    if (limits == NULL)
        return gate_check_limit();
    if (getrlimit(RLIMIT_NPROC, &own) < 0)
        return -errno;
    if (limits->all[RLIMIT_NPROC].rlim_cur >= own.rlim_cur)
        return 0;
    r = place_limit(RLIMIT_NPROC, &limits->all[RLIMIT_NPROC]);
    return r < 0 ? r : gate_check_limit();
}

static int session_make_gate(struct session *session) {
    const struct session_service *service = session->setup->service;
    const struct limits *limits = service != NULL ? &session->peer.limits : NULL;
    const struct gate_setup setup = {
        /* The service has no_new_privs set already, but nobody is to rely on that. */
        .may_setuid = session->selection.has_setuid && service == NULL,
        .limits = limits,
        .session_fds = {session->channel, service != NULL ? service->control : -1}};
    int r = session_check_processes(limits);

    if (r < 0)
        return r;
    r = privilege_raise_sys_admin();
    if (r < 0)
        session_die(session, "raising CAP_SYS_ADMIN", r);
    return gate_open(&session->gate, &setup);
}

/* The service must know its child before anybody can release it. */
static void session_report_gate(struct session *session) {
    const struct session_message message = {.word = SESSION_HAS_GATE,
                                            .value = (uint32_t)session->gate.pid};
    int r = 0;

    if (session->setup->service != NULL)
        r = channel_send(session->setup->service->control, &message, sizeof(message), NULL, 0);
    if (r < 0)
        session_die(session, "telling the service", r);
}

/* Step 4. Not even a gate is made for a request that is refused already. */
static void session_open_gate(struct session *session) {
    int r;

    session_limit_patience(session);
    if (session->status != PROTOCOL_GRANTED)
        return;
    r = session_make_gate(session);
    if (r == 0) {
        session_report_gate(session);
        session_leave_interrupts_to_gate(session);
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
                              .loaded_rulebook = RULEBOOK_NULL,
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
