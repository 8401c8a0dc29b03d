#include "broker/service/reaper.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "broker/service/client.h"
#include "broker/service/service.h"
#include "broker/service/session-pool.h"
#include "utsbroker/base.h"

enum {
    ROUNDS_MAX = 64,    /* what commands do all the time shall not keep the service from the rest */
    NEWS_MS = 10,       /* so long may other children's news come in before they are looked at, */
    COMMANDS_A_MS = 10, /* and the longer, the more there are to be gone through */
};

static void stop_note(struct service *service, pid_t pid, int signal_number) {
    struct client_list *lists[] = {&service->undecided, &service->decided};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(lists); i++)
        for (struct client *client = lists[i]->first; client != NULL; client = client->behind)
            if (client->command.pid == pid && !client->command.has_ended)
                client_note_stop(client, signal_number);
}

/*
 * A pidfd does not tell of a child that has stopped. Those that have ended are not touched here. A
 * child can make its parent its tracer (PTRACE_TRACEME, ptrace(2)): this one traces nobody.
 */
static void stops_note(struct service *service) {
    siginfo_t info = {.si_pid = 0};

    for (int i = 0; i < ROUNDS_MAX; i++) {
        if (waitid(P_ALL, 0, &info, WSTOPPED | WNOHANG) < 0 || info.si_pid == 0)
            return;
        if (info.si_code == CLD_STOPPED)
            stop_note(service, info.si_pid, info.si_status);
        else
            (void)ptrace(PTRACE_DETACH, info.si_pid, NULL, (void *)(intptr_t)info.si_status);
        info.si_pid = 0;
    }
    children_have_news(service);
}

/* Children that had ended and could not be had. */
static void clients_retry(struct service *service) {
    struct client_list *lists[] = {&service->undecided, &service->decided};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(lists); i++)
        for (struct client *client = lists[i]->first, *behind; client != NULL; client = behind) {
            behind = client->behind;
            client_retry(client);
        }
}

static bool pid_is_known(const struct service *service, pid_t pid) {
    const struct client_list *lists[] = {&service->undecided, &service->decided};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(lists); i++)
        for (struct client *client = lists[i]->first; client != NULL; client = client->behind)
            if ((client->session.pid == pid && !client->session.has_ended) ||
                (client->command.pid == pid && !client->command.has_ended))
                return true;
    return service->spare.pid == pid || service->spare.gate == pid || service->nursery.pid == pid;
}

/* False while there is a session that could yet tell of a gate: it would be taken for nobody's. */
bool children_can_be_reaped(struct service *service) {
    spawn_hear(service);
    if (service->spare.control >= 0 && !service->spare.has_reported)
        return false;
    for (struct client *client = service->undecided.first; client != NULL; client = client->behind)
        if (!client->has_reported && client->control >= 0)
            return false;
    return true;
}

/*
 * Reaps what is nobody's: the orphans of commands that have ended, and a gate whose session was
 * killed before it could tell of it. Only if children_can_be_reaped(). Known children are their
 * clients' to reap, which is done by now if nothing else is ready.
 */
void children_reap(struct service *service) {
    siginfo_t info = {.si_pid = 0};

    for (int i = 0; i < ROUNDS_MAX; i++) {
        info.si_pid = 0;
        service->may_have_orphans =
            waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
        if (!service->may_have_orphans || pid_is_known(service, info.si_pid))
            return;
        (void)waitpid(info.si_pid, NULL, WNOHANG);
    }
}

/* True if a child lives that no client knows: something that a command has left in the background.
 */
bool children_are_left(struct service *service) {
    siginfo_t info = {.si_pid = 0};

    spawn_drop(service);
    nursery_drop(&service->nursery);
    children_reap(service);
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* Some child has changed: children_look() is due soon, for all news that come until then. */
void children_have_news(struct service *service) {
    if (service->has_news)
        return;
    service->has_news = true;
    service->news_due = service_now() + NEWS_MS + (int64_t)service->decided.n / COMMANDS_A_MS;
}

/*
 * Some child has changed. To find out which takes the longer the more of them live, so it is done
 * once for all news of a while. What waits for it is a stop; an end is known by the pidfd.
 */
void children_look(struct service *service) {
    service->has_news = false;
    service->may_have_orphans = true;
    stops_note(service);
    if (service->n_held > 0)
        clients_retry(service);
    spawn_look(service);
}
