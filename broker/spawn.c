#include "broker/spawn.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/service.h"
#include "broker/session.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"

/*
 * What the child of fork(2) is: a session and no more of the service. It holds the channels of no
 * client, so that nobody's end is hidden from them.
 */
static _Noreturn void be_session(const struct service *service, int control) {
    const struct session_service of_service = {.control = control,
                                               .rulebook = &service->rulebook,
                                               .counters = service->counters.of_rule,
                                               .reference = &service->reference};
    const struct session_setup setup = {.channel = -1, .service = &of_service};

    /* 0, 1 and 2 are /dev/null, but 2 may be the service manager's log. */
    if (dup2(0, 2) < 0 ||
        (control > 3 && syscall(SYS_close_range, 3, (unsigned)control - 1, 0) < 0) ||
        syscall(SYS_close_range, (unsigned)control + 1, ~0U, 0) < 0)
        _exit(SESSION_EXIT_REFUSED);
    session_run(&setup);
}

/* Ends the spare session, which has had no client, if there is one. */
void spawn_drop(struct service *service) {
    struct spare *spare = &service->spare;

    if (spare->pid != 0) {
        (void)kill(spare->pid, SIGKILL);
        (void)waitpid(spare->pid, NULL, 0);
    }
    base_close_fd(&spare->control);
    *spare = (struct spare)SPARE_NULL;
}

/* Some child has ended: forgets the spare session if it is that one. */
void spawn_look(struct service *service) {
    struct spare *spare = &service->spare;

    if (spare->pid == 0 || waitpid(spare->pid, NULL, WNOHANG) != spare->pid)
        return;
    base_close_fd(&spare->control);
    *spare = (struct spare)SPARE_NULL;
}

/*
 * Makes a session ahead, by the policy as the service has it, unless there is one. Returns 0 or a
 * negative errno: -EAGAIN at a limit of processes.
 */
int spawn_ahead(struct service *service) {
    struct spare *spare = &service->spare;
    int ends[2];
    pid_t pid;
    int r;

    if (spare->pid != 0 && spare->policy == service->policy_generation)
        return 0;
    spawn_drop(service);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        be_session(service, ends[1]);
    r = pid < 0 ? -errno : 0;
    (void)close(ends[1]);
    if (r < 0)
        (void)close(ends[0]);
    else
        *spare =
            (struct spare){.pid = pid, .control = ends[0], .policy = service->policy_generation};
    return r;
}

/*
 * Gives @connection to a session, which serves it from now on. Returns 0 with @session the
 * caller's; a negative errno, and no session has it.
 */
int spawn_take(struct service *service, int connection, bool is_late, struct spare *session) {
    const struct session_client client = {.is_late = is_late};
    int r = 0;

    /* The spare may have been killed; one that is made now was not. */
    for (int i = 0; i < 2; i++) {
        r = spawn_ahead(service);
        if (r < 0)
            return r;
        r = channel_send(service->spare.control, &client, sizeof(client), &connection, 1);
        if (r == 0)
            break;
        spawn_drop(service);
    }
    if (r < 0)
        return r;
    *session = service->spare;
    service->spare = (struct spare)SPARE_NULL;
    return 0;
}
