#include "broker/service/zygote.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/service/service.h"
#include "broker/session/session.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"

static const char nursery_name[] = "utsb-zygote", session_name[] = "utsbroker";

/* Leaves this process, a child of the service's, 0, 1, 2 and @fd. Returns 0 or a negative errno. */
static int descriptors_keep(int fd) {
    /* 0, 1 and 2 are /dev/null, but 2 may be the service manager's log. */
    if (dup2(0, 2) < 0 || (fd > 3 && syscall(SYS_close_range, 3, (unsigned)fd - 1, 0) < 0) ||
        syscall(SYS_close_range, (unsigned)fd + 1, ~0U, 0) < 0)
        return -errno;
    return 0;
}

/*
 * What a fork of the service is: a session and no more of the service. It holds the channels of no
 * client, so that nobody's end is hidden from them.
 */
_Noreturn void nursery_be_session(const struct service *service, int control, bool is_ahead) {
    const struct session_service of_service = {.control = control,
                                               .is_ahead = is_ahead,
                                               .snapshot = &service->snapshot,
                                               .counters = service->counters.of_rule};
    const struct session_setup setup = {.channel = -1, .service = &of_service};

    if (descriptors_keep(control) < 0)
        _exit(SESSION_EXIT_REFUSED);
    session_run(&setup);
}

/* A session is a child of the service's (CLONE_PARENT). That it could not be made, its channel says
 * to the service by being closed. */
static void session_make(const struct service *service, const struct channel_fds *fds) {
    struct clone_args arguments = {.flags = CLONE_PARENT};

    if (syscall(SYS_clone3, &arguments, sizeof(arguments)) == 0) {
        const struct session_message message = {.word = SESSION_BEGINS,
                                                .value = (uint32_t)getpid()};

        /* Before it looks up anybody, which may take for ever: so that it can be ended. */
        (void)prctl(PR_SET_NAME, session_name, 0, 0, 0);
        if (channel_send(fds->fds[0], &message, sizeof(message), NULL, 0) < 0)
            _exit(SESSION_EXIT_REFUSED);
        nursery_be_session(service, fds->fds[0], true);
    }
}

static _Noreturn void nursery_run(const struct service *service, int channel) {
    /* It lives no longer than the service, also if it is stopped; ps(1) tells it from that. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
        prctl(PR_SET_NAME, nursery_name, 0, 0, 0) < 0 || descriptors_keep(channel) < 0)
        _exit(1);
    for (;;) {
        struct channel_fds fds;
        char word;
        size_t size;
        int r = channel_receive(channel, &word, sizeof(word), &size, &fds);

        if (r < 0 || size == 0 || fds.n_fds != 1)
            _exit(0);
        session_make(service, &fds);
        channel_fds_deinit(&fds);
    }
}

static int nursery_make(struct service *service) {
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        nursery_run(service, ends[1]);
    if (pid < 0) {
        int error = errno;

        (void)close(ends[0]);
        (void)close(ends[1]);
        return -error;
    }
    (void)close(ends[1]);
    service->nursery =
        (struct nursery){.pid = pid, .channel = ends[0], .policy = service->policy_generation};
    return 0;
}

/*
 * Asks for a session by the present policy, which is to have @control; @control stays the caller's.
 * The session says itself which process it is; if there will be none, its channel is closed.
 * Returns 0 or a negative errno.
 */
int nursery_ask(struct service *service, int control) {
    struct nursery *nursery = &service->nursery;
    const char word = 0;
    int r = 0;

    if (nursery->pid != 0 && nursery->policy != service->policy_generation)
        nursery_drop(nursery);
    if (nursery->pid == 0)
        r = nursery_make(service);
    if (r == 0)
        r = channel_send(nursery->channel, &word, sizeof(word), &control, 1);
    return r;
}

/* Ends the nursery, if there is one, also one that has been stopped. What it has made stays. */
void nursery_drop(struct nursery *nursery) {
    if (nursery->pid == 0)
        return;
    base_close_fd(&nursery->channel);
    /* Reaped by nobody else, so the pid is its own. One that cannot be killed ends without its
     * channel, and is reaped as nobody's. */
    if (kill(nursery->pid, SIGKILL) == 0)
        (void)waitpid(nursery->pid, NULL, 0);
    *nursery = (struct nursery)NURSERY_NULL;
}

/* Some child has ended: forgets the nursery if it is that one. */
void nursery_look(struct nursery *nursery) {
    if (nursery->pid == 0 || waitpid(nursery->pid, NULL, WNOHANG) != nursery->pid)
        return;
    base_close_fd(&nursery->channel);
    *nursery = (struct nursery)NURSERY_NULL;
}
