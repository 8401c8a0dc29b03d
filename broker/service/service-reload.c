#include "broker/service/service-reload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/service/reload.h"

enum {
    PAUSE_MS = 1000,       /* after a shortage, until the next try; doubled with each, */
    PAUSE_MAX_MS = 300000, /* but no longer than this */
};

/* SIGHUP. */
void service_want_reload(struct service *service) {
    service->wants_reload = !service->clients.is_ending;
    if (service->reload_pause != 0) /* a try waits */
        loop_cancel_timer(&service->reload);
    service->reload_pause = 0;
}

/* True if no further client is to be accepted before the reload. */
bool service_is_reloading(const struct service *service) {
    return service->wants_reload && service->reload.due == 0;
}

static int service_describe(struct service *service, struct handover *handover) {
    const struct service_setup *setup = service->setup;
    const struct end_reports *reports = &service->end_reports;

    *handover = (struct handover){.idle_exit_seconds = setup->idle_exit_seconds,
                                  .listener = service->listener.fd,
                                  .is_managed = setup->listener.is_managed,
                                  .path = setup->listener.path,
                                  .inode = setup->listener.inode};
    if (setup->n_policy_folders > HANDOVER_FOLDERS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < setup->n_policy_folders; i++)
        handover->folders[handover->n_folders++] = setup->policy_folders[i];
    for (size_t i = 0; i < END_REPORTS_MAX && i < HANDOVER_LINKS_MAX; i++)
        if (reports->links[i] >= 0)
            handover->links[handover->n_links++] = reports->links[i];
    return clients_hand_over(&service->clients, handover);
}

/* True if a reload that has failed by @error may be possible a moment later. */
static bool is_shortage(int error) {
    return error == -EAGAIN || error == -ENOMEM || error == -EMFILE || error == -ENFILE ||
           error == -ENOSPC || error == -ETXTBSY;
}

/* Else a fix would wait for ever in a service whose user was at a limit for a moment. */
static void service_reload_later(struct service *service) {
    int64_t pause = service->reload_pause == 0 ? PAUSE_MS : service->reload_pause * 2;

    service->reload_pause = pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
    service->wants_reload = true;
    loop_set_timer(&service->loop, &service->reload, loop_now() + service->reload_pause);
}

/*
 * Goes on as the program that is installed now, with the same clients. If that is not possible this
 * program goes on, and says so.
 */
static void service_reload(struct service *service) {
    CLEANUP_HANDOVER struct handover handover = HANDOVER_NULL;
    const char *what = "what is handed over could not be collected";
    int r;

    service->wants_reload = false;
    session_pool_drop(&service->pool);
    r = service_describe(service, &handover);
    closer_flush(&service->closer);
    if (r == 0)
        r = reload_execute(&handover, &what);
    if (is_shortage(r))
        service_reload_later(service);
    (void)fprintf(stderr, "utsbroker: reload: %s: %s; the service goes on as it is%s\n", what,
                  strerror(-r), service->wants_reload ? ", and tries again" : "");
}

/* Reloads if that is wanted, and no client is undecided. */
void service_reload_if_possible(struct service *service) {
    const struct list *states = service->clients.in_state;

    if (service_is_reloading(service) && states[CLIENT_DECIDING].n == 0 &&
        states[CLIENT_PROVING].n == 0)
        service_reload(service);
}

/* Goes on with the clients of the program before. */
void service_restore(struct service *service, const struct handover *handover) {
    for (size_t i = 0; i < handover->n_links && i < END_REPORTS_MAX; i++)
        service->end_reports.links[i] = handover->links[i];
    service->end_reports.next = handover->n_links % END_REPORTS_MAX;
    for (size_t i = 0; i < handover->n_clients; i++) {
        int r = client_restore(&service->clients, &handover->clients[i]);

        if (r < 0)
            (void)fprintf(stderr, "utsbroker: reload: a command goes on without the service: %s\n",
                          strerror(-r));
    }
    reaper_take_news(&service->reaper); /* what has ended meanwhile */
}
