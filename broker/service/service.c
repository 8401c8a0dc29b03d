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
#include <time.h>
#include <unistd.h>

#include "broker/service/setup.h"
#include "broker/service/reaper.h"
#include "broker/service/client.h"
#include "broker/service/service-log.h"
#include "utsbroker/base.h"

enum {
    SILENT_MAX = 32,
    UNDECIDED_MAX = 32,
    ACCEPT_PAUSE_MS = 200,
    STOP_PATIENCE_MS = 10000,
};

static _Noreturn void service_die(const char *step, int error) {
    (void)fprintf(stderr, "utsbroker: %s: %s\n", step, strerror(-error));
    exit(1);
}

/* Milliseconds of CLOCK_MONOTONIC, which cannot fail (clock_gettime(2)). */
int64_t service_now(void) {
    struct timespec now = {.tv_sec = 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * Reads the policy again if any of its folders or files has changed, or if there was an error.
 * Commands that live go on to count by the new rules.
 */
void service_refresh_policy(struct service *service) {
    const struct service_setup *setup = service->setup;
    struct policy_snapshot *snapshot = &service->snapshot;
    int r;

    if (fingerprint_is_current(&service->fingerprint))
        return;
    service->policy_generation++;
    r = fingerprint_take(&service->fingerprint, setup->policy_folders, setup->n_policy_folders);
    policy_snapshot_deinit(snapshot);
    policy_snapshot_load(snapshot, setup->policy_folders, setup->n_policy_folders);
    if (r == 0 && snapshot->status == PROTOCOL_GRANTED)
        r = counters_adopt(&service->counters, &snapshot->policy);
    if (r < 0 && snapshot->status != PROTOCOL_POLICY_INVALID) {
        snapshot->status = PROTOCOL_KERNEL_REFUSED;
        snapshot->error = -r;
    }
    service_log_policy(service);
    service->policy_has_names = false;
    for (size_t i = 0; i < snapshot->policy.n_subjects; i++)
        service->policy_has_names |= !snapshot->policy.subjects[i].is_id;
    /* What could not be read may be readable the next time, without having changed. */
    if (snapshot->status != PROTOCOL_GRANTED)
        fingerprint_deinit(&service->fingerprint);
}

static void listener_watch(struct service *service, bool is_accepting) {
    static struct watch watch = {.kind = WATCH_LISTENER};
    struct epoll_event event = {.events = is_accepting ? EPOLLIN : 0, .data.ptr = &watch};

    if (service->is_accepting == is_accepting || service->setup->listener.fd < 0)
        return;
    if (epoll_ctl(service->epoll, EPOLL_CTL_MOD, service->setup->listener.fd, &event) < 0)
        service_die("watching the socket", -errno);
    service->is_accepting = is_accepting;
}

static bool is_readable(int fd) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    return poll(&ready, 1, 0) == 1;
}

/*
 * A client gets a session when it has said something, which most have by now. Who says nothing
 * costs no process; room for one more of those is made by the one that has been silent for longest.
 */
static void service_accept(struct service *service) {
    int connection = accept4(service->setup->listener.fd, NULL, NULL, SOCK_CLOEXEC);
    int r = connection < 0 ? -errno : client_new(service, connection);

    if (r == 0 && is_readable(connection))
        client_handle(service->silent.last, WATCH_CONNECTION, EPOLLIN);
    else if (r == 0 && service->silent.n > SILENT_MAX)
        client_expire(service->silent.first);
    /* Out of descriptors or memory: clients wait, but for one that was accepted, and nobody spins.
     */
    if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM || r == -ENOSPC)
        service->accept_again = service_now() + ACCEPT_PAUSE_MS;
}

static void service_end_all(struct service *service, int signal_number) {
    struct client_list *lists[] = {&service->silent, &service->undecided, &service->decided};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(lists); i++)
        for (struct client *client = lists[i]->first, *behind; client != NULL; client = behind) {
            behind = client->behind;
            client_end(client, signal_number);
        }
}

static void signals_take(struct service *service) {
    struct signalfd_siginfo info;

    if (read(service->signals, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo == SIGCHLD)
        children_have_news(service);
    if (info.ssi_signo != SIGTERM && info.ssi_signo != SIGINT)
        return;
    listener_watch(service, false);
    if (service->kill_at == 0)
        service->kill_at = service_now() + STOP_PATIENCE_MS;
    /* One that somebody has stopped would hold what is waited for. */
    nursery_drop(&service->nursery);
    service_end_all(service, SIGTERM);
}

static bool is_idle(const struct service *service) {
    return service->silent.n == 0 && service->undecided.n == 0 && service->decided.n == 0;
}

/* When the next session may be made ahead. */
static int64_t spare_due(const struct service *service) {
    int64_t busy_until = service->n_talking > 0 ? service->busy_until : 0;

    return busy_until > service->no_spare_before ? busy_until : service->no_spare_before;
}

static bool lacks_spare(const struct service *service) {
    return service->spare.control < 0 && service->kill_at == 0;
}

/* When the next session is given up if it has not reported by then. */
static int64_t spare_expires(const struct service *service) {
    const struct spare *spare = &service->spare;

    if (spare->control < 0 || spare->has_reported)
        return 0;
    return spare->made_at + (spare->pid == 0 ? SPARE_BEGINS_MS : SPARE_REPORTS_MS);
}

/* A time of 0 is never. */
static int64_t earlier(int64_t a, int64_t b) {
    return b != 0 && b < a ? b : a;
}

/* Does what is due; returns the milliseconds until the next thing is, or -1 for nothing. */
static int64_t deadlines_meet(struct service *service) {
    struct client_list *lists[] = {&service->silent, &service->undecided};
    int64_t now = service_now(), next = INT64_MAX;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(lists); i++) {
        for (struct client *client = lists[i]->first, *behind; client != NULL; client = behind) {
            behind = client->behind;
            next = earlier(next, client->deadline);
            if (client->deadline <= now)
                client_expire(client);
        }
    }
    if (service->accept_again != 0 && service->accept_again <= now)
        service->accept_again = 0;
    if (service->kill_at != 0 && service->kill_at <= now) {
        service->kill_at = now + STOP_PATIENCE_MS;
        service_end_all(service, SIGKILL);
    }
    if (service->has_news && service->news_due <= now)
        children_look(service);
    if (spare_expires(service) != 0 && spare_expires(service) <= now)
        spawn_expire(service);
    next = earlier(next, service->accept_again);
    next = earlier(next, service->kill_at);
    next = earlier(next, spare_expires(service));
    next = earlier(next, service->has_news ? service->news_due : 0);
    next = earlier(next, lacks_spare(service) && spare_due(service) > now ? spare_due(service) : 0);
    return next == INT64_MAX ? -1 : next > now ? next - now : 0;
}

/*
 * True if nothing is left to wait for: nobody asks, no command lives, nor what one has left behind:
 * the service manager ends that with the service.
 */
static bool is_finished(struct service *service) {
    int64_t idle_ms = (int64_t)service->setup->idle_exit_seconds * 1000;

    if (!is_idle(service))
        return false;
    if (service->kill_at != 0)
        return true;
    if (idle_ms == 0 || service_now() < service->last_asked + idle_ms)
        return false;
    if (!children_are_left(service))
        return true;
    service->last_asked = service_now();
    return false;
}

static int64_t idle_time_left(const struct service *service) {
    int64_t idle_ms = (int64_t)service->setup->idle_exit_seconds * 1000;

    int64_t left = service->last_asked + idle_ms - service_now();

    if (!is_idle(service) || idle_ms == 0)
        return -1;
    return left > 0 ? left : 0;
}

/* With nothing else to do. At a limit of processes there is no hurry: one is made when it is
 * needed. */
static void chores_do(struct service *service, bool has_spare) {
    if (children_can_be_reaped(service))
        children_reap(service);
    if (!has_spare)
        spawn_ahead(service);
}

/* One event at a time: what the one does, the next knows. */
static void service_wait(struct service *service) {
    struct epoll_event event;
    const struct watch *watch;
    int64_t due = deadlines_meet(service), idle = idle_time_left(service);
    int64_t timeout = due < 0 ? idle : idle < 0 ? due : due < idle ? due : idle;
    /* Not while a session works: both would want a processor, and a client waits for the one. */
    bool has_spare = !lacks_spare(service) || spare_due(service) > service_now();
    bool has_chore = !has_spare || (service->may_have_orphans && children_can_be_reaped(service));
    int n;

    if (service->kill_at == 0)
        listener_watch(service, service->accept_again == 0 && service->undecided.n < UNDECIDED_MAX);
    n = epoll_wait(service->epoll, &event, 1, has_chore ? 0 : (int)timeout);
    if (n < 0 && errno != EINTR)
        service_die("waiting", -errno);
    if (n == 0 && has_chore)
        chores_do(service, has_spare);
    if (n <= 0)
        return;
    watch = event.data.ptr;
    if (watch->kind == WATCH_SIGNALS) {
        signals_take(service);
        return;
    }
    if (watch->kind == WATCH_SPARE) {
        spawn_hear(service);
        return;
    }
    service->last_asked = service_now();
    if (watch->kind == WATCH_LISTENER)
        service_accept(service);
    else
        client_handle(watch->client, watch->kind, event.events);
}

/* Commands begin with what the caller ignores and blocks, so the service has nothing of its own. */
static int signals_begin(struct service *service) {
    static struct watch watch = {.kind = WATCH_SIGNALS};
    static const int wanted[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE};
    const struct sigaction action = {.sa_handler = SIG_DFL};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &watch};
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(wanted); i++)
        (void)sigaddset(&set, wanted[i]);
    /* SIGKILL, SIGSTOP and the C library's own two cannot be set. */
    for (int number = 1; number <= 64; number++)
        (void)sigaction(number, &action, NULL);
    if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
        return -errno;
    service->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (service->signals < 0 ||
        epoll_ctl(service->epoll, EPOLL_CTL_ADD, service->signals, &event) < 0)
        return -errno;
    return 0;
}

static void service_begin(struct service *service) {
    const struct listener *listener = &service->setup->listener;
    struct epoll_event event = {.events = 0};
    int r = begin_descriptors();

    if (r < 0)
        service_die(r == -ENOSYS ? "Linux 5.9 is needed" : "preparing descriptors", r);
    service->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (service->epoll < 0 || epoll_ctl(service->epoll, EPOLL_CTL_ADD, listener->fd, &event) < 0)
        service_die("watching the socket", -errno);
    r = signals_begin(service);
    if (r < 0)
        service_die("watching signals", r);
    r = subject_init_self(&service->subject);
    if (r == 0)
        r = peer_reference_init(&service->reference);
    if (r < 0)
        service_die("looking at what this process is", r);
    service_refresh_policy(service);
    service->last_asked = service_now();
    listener_tell_ready(listener);
}

/* Serves until it is told to stop, or nobody has asked for long enough and no command lives. */
_Noreturn void service_run(const struct service_setup *setup) {
    struct service service = {.setup = setup,
                              .snapshot = POLICY_SNAPSHOT_NULL,
                              .nursery = NURSERY_NULL,
                              .spare = SPARE_NULL,
                              .fingerprint = FINGERPRINT_NULL,
                              .counters = COUNTERS_NULL};
    struct listener listener = setup->listener;

    service_begin(&service);
    while (!is_finished(&service))
        service_wait(&service);
    spawn_drop(&service);
    nursery_drop(&service.nursery);
    listener_deinit(&listener);
    subject_deinit(&service.subject);
    fingerprint_deinit(&service.fingerprint);
    counters_deinit(&service.counters);
    policy_snapshot_deinit(&service.snapshot);
    exit(0);
}
