#include "broker/service/service.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/service/proof.h"
#include "broker/service/reload.h"
#include "broker/service/service-reload.h"
#include "broker/service/setup.h"
#include "utsbroker/base.h"

enum {
    CONNECTED_MAX = 32, /* clients that have sent no request, or prove nothing; but each gets */
    CONNECTED_MS = 200, /* its time, as utsrun may be slow on a busy machine, */
    FLOOD_MAX = 128,    /* unless so many are silent */
    DECIDING_MAX = 32,  /* sessions that work at the same time; further clients wait */
    ACCEPT_PAUSE_MS = 200,
    RELOAD_PAUSE_MS = 20, /* clients are served between two reloads */
    STOP_PATIENCE_MS = 10000,
};

static _Noreturn void service_die(const char *step, int error) {
    (void)fprintf(stderr, "utsbroker: %s: %s\n", step, strerror(-error));
    exit(1);
}

/* While it is set up. After a reload there are commands, which must not end with the service. */
static _Noreturn void setup_fail(const struct service *service, const char *step, int error) {
    if (service->setup->handover == NULL)
        service_die(step, error);
    (void)fprintf(stderr, "utsbroker: %s: %s\n", step, strerror(-error));
    reload_wait_for_children();
}

static void service_watch_listener(struct service *service) {
    bool is_accepting = !service->clients.is_ending && !service_is_reloading(service) &&
                        service->accept_again.due == 0 &&
                        service->clients.in_state[CLIENT_DECIDING].n < DECIDING_MAX;
    int r;

    if (service->is_accepting == is_accepting)
        return;
    r = loop_change_source(&service->loop, &service->listener, is_accepting ? EPOLLIN : 0);
    if (r < 0)
        service_die("watching the socket", r);
    service->is_accepting = is_accepting;
}

/*
 * Accepts a connection. The client gets a session when its request can be read; the service does
 * not read it. So a client that sends nothing costs no process. If too many send nothing, the one
 * that has waited longest is refused.
 */
static int service_accept(struct service *service) {
    const struct list *connected = &service->clients.in_state[CLIENT_CONNECTED];
    struct pollfd ready = {.events = POLLIN};
    struct client *client;
    int r;

    ready.fd = accept4(service->listener.fd, NULL, NULL, SOCK_CLOEXEC);
    r = ready.fd < 0 ? -errno : client_new(&service->clients, ready.fd, &client);
    if (r == 0 && poll(&ready, 1, 0) == 1)
        client_dispatch(client);
    else if (r == 0 && connected->n > CONNECTED_MAX &&
             (connected->n > FLOOD_MAX || client_silence(connected->first->owner) > CONNECTED_MS))
        client_refuse_late(connected->first->owner);
    return r;
}

/*
 * If too many prove nothing, the one that has waited longest is refused as too late: they delay
 * nobody, as those that send nothing. Its utsrun tries again.
 */
static void service_limit_proofs(struct service *service) {
    const struct list *proving = &service->clients.in_state[CLIENT_PROVING];

    if (proving->n > CONNECTED_MAX &&
        (proving->n > FLOOD_MAX || proof_duration(proving->first->owner) > CONNECTED_MS))
        proof_refuse_late(proving->first->owner);
}

static void service_handle_listener(void *argument, uint32_t events) {
    struct service *service = argument;
    int r = service_accept(service);

    (void)events;
    /* Out of descriptors or memory: clients wait for a moment, instead of the loop spinning. */
    if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM || r == -ENOSPC)
        loop_set_timer(&service->loop, &service->accept_again, loop_now() + ACCEPT_PAUSE_MS);
}

static void service_handle_kill(void *argument) {
    struct service *service = argument;

    loop_set_timer(&service->loop, &service->kill, loop_now() + STOP_PATIENCE_MS);
    clients_end(&service->clients, SIGKILL);
}

static void service_handle_signals(void *argument, uint32_t events) {
    struct service *service = argument;
    struct signalfd_siginfo info;

    (void)events;
    if (read(service->signals.fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo == SIGCHLD)
        reaper_take_news(&service->reaper);
    if (info.ssi_signo == SIGHUP)
        service_want_reload(service);
    if (info.ssi_signo != SIGTERM && info.ssi_signo != SIGINT)
        return;
    if (service->kill.due == 0)
        loop_set_timer(&service->loop, &service->kill, loop_now() + STOP_PATIENCE_MS);
    service->wants_reload = false;
    service->pool.is_ending = true;
    session_pool_drop(&service->pool);
    clients_end(&service->clients, SIGTERM);
}

/*
 * Commands start with the signals that their caller ignores and blocks, so the service ignores none
 * and reads its own with signalfd(2).
 */
static int service_setup_signals(struct service *service) {
    static const int wanted[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE};
    const struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(wanted); i++)
        (void)sigaddset(&set, wanted[i]);
    /* SIGKILL, SIGSTOP and the C library's own two cannot be set. */
    for (int number = 1; number <= 64; number++)
        (void)sigaction(number, &action, NULL);
    if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
        return -errno;
    service->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (service->signals.fd < 0)
        return -errno;
    return loop_add_source(&service->loop, &service->signals, EPOLLIN);
}

static void service_connect_parts(struct service *service) {
    service->listener.fd = service->setup->listener.fd;
    service->listener.function = service_handle_listener;
    service->listener.argument = service;
    service->signals.function = service_handle_signals;
    service->signals.argument = service;
    service->kill = (struct loop_timer){.function = service_handle_kill, .argument = service};
    service->policy = (struct current_policy){.folders = service->setup->policy_folders,
                                              .n_folders = service->setup->n_policy_folders,
                                              .snapshot = POLICY_SNAPSHOT_NULL};
    reaper_init(&service->reaper, &service->loop);
    closer_init(&service->closer, &service->reaper);
    end_reports_init(&service->end_reports);
    session_pool_init(&service->pool, &service->loop, &service->reaper, &service->policy);
    service->clients = (struct clients){.loop = &service->loop,
                                        .reaper = &service->reaper,
                                        .pool = &service->pool,
                                        .policy = &service->policy,
                                        .closer = &service->closer,
                                        .end_reports = &service->end_reports,
                                        .subject = &service->subject,
                                        .reference = &service->reference};
}

static void service_setup_all(struct service *service) {
    int r = setup_descriptors();

    if (r < 0)
        setup_fail(service, r == -ENOSYS ? "Linux 5.9 is needed" : "preparing descriptors", r);
    service_connect_parts(service);
    r = loop_init(&service->loop);
    if (r == 0)
        r = loop_add_source(&service->loop, &service->listener, 0);
    if (r == 0)
        r = service_setup_signals(service);
    if (r < 0)
        setup_fail(service, "setting up the event loop", r);
    r = subject_init_self(&service->subject);
    if (r == 0)
        r = peer_reference_init(&service->reference);
    if (r < 0)
        setup_fail(service, "looking at what this process is", r);
    current_policy_refresh(&service->policy);
    service->last_busy = loop_now();
    if (service->setup->handover != NULL)
        service_restore(service, service->setup->handover);
    loop_set_timer(&service->loop, &service->reload, loop_now() + RELOAD_PAUSE_MS);
    listener_tell_ready(&service->setup->listener);
}

/*
 * True if nothing is left to wait for: no client, and no process that a command has left behind,
 * which the service manager would end with the service.
 */
static bool service_is_finished(struct service *service) {
    int64_t idle_ms = (int64_t)service->setup->idle_exit_seconds * 1000;

    loop_cancel_timer(&service->idle);
    if (service->clients.n > 0)
        return false;
    if (service->clients.is_ending)
        return true;
    if (idle_ms == 0)
        return false;
    if (loop_now() >= service->last_busy + idle_ms) {
        session_pool_drop(&service->pool);
        if (!reaper_has_children(&service->reaper))
            return true;
        service->last_busy = loop_now();
    }
    loop_set_timer(&service->loop, &service->idle, service->last_busy + idle_ms);
    return false;
}

/* Work that can wait is done when no source is ready, so that no client waits for it. */
static void service_run_once(struct service *service) {
    bool was_busy = service->clients.n > 0;
    bool wants_session = session_pool_wants_session(&service->pool);
    bool has_unknown = reaper_has_unknown(&service->reaper);
    int r;

    service_reload_if_possible(service);
    service_limit_proofs(service);
    service_watch_listener(service);
    r = loop_run_once(&service->loop, !wants_session && !has_unknown);
    if (r < 0)
        service_die("waiting", r);
    if (was_busy || service->clients.n > 0)
        service->last_busy = loop_now();
    if (r != LOOP_E_IDLE)
        return;
    /* Asked again: a timer may have made a session that has not named its gate. */
    if (reaper_has_unknown(&service->reaper))
        reaper_reap_unknown(&service->reaper);
    if (wants_session)
        session_pool_make_ahead(&service->pool);
}

/*
 * Serves until it gets SIGTERM or SIGINT, or until there was no client and no command for the time
 * of @setup. Then it ends the process.
 */
_Noreturn void service_run(const struct service_setup *setup) {
    struct service service = {.setup = setup};
    struct listener listener = setup->listener;

    service_setup_all(&service);
    while (!service_is_finished(&service))
        service_run_once(&service);
    session_pool_drop(&service.pool);
    closer_deinit(&service.closer);
    end_reports_deinit(&service.end_reports);
    listener_deinit(&listener);
    subject_deinit(&service.subject);
    peer_reference_deinit(&service.reference);
    current_policy_deinit(&service.policy);
    loop_deinit(&service.loop);
    exit(0);
}
