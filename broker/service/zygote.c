#include "broker/service/zygote.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/service/setup.h"
#include "broker/session/session.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"

static const char zygote_name[] = "utsb-zygote", session_name[] = "utsbroker";

/*
 * Makes this fork of the service, or of the zygote, a session that talks to the service by
 * @control. It keeps no other client's channel, so that each client's hangup is seen.
 */
_Noreturn void zygote_run_session(const struct current_policy *current, int control,
                                  bool is_ahead) {
    const struct session_service service = {
        .control = control, .is_ahead = is_ahead, .snapshot = &current->snapshot};
    const struct session_setup setup = {.channel = -1, .service = &service};

    /* 2 may be the service manager's log; 0 is /dev/null. */
    if (dup2(0, 2) < 0 || setup_close_all_but(&control, 1) < 0)
        _exit(SESSION_EXIT_REFUSED);
    session_run(&setup);
}

/* Makes a session that is a child of the service (CLONE_PARENT). If that fails, the service sees
 * that the session's channel is closed. */
static void session_make(const struct current_policy *current, int control) {
    struct clone_args arguments = {.flags = CLONE_PARENT};

    if (syscall(SYS_clone3, &arguments, sizeof(arguments)) == 0) {
        const struct session_message message = {.word = SESSION_BEGINS,
                                                .value = (uint32_t)getpid()};

        /* It says its pid first: the next step looks up users, which can take for ever, and the
         * service must be able to kill it. */
        (void)prctl(PR_SET_NAME, session_name, 0, 0, 0);
        if (channel_send(control, &message, sizeof(message), NULL, 0) < 0)
            _exit(SESSION_EXIT_REFUSED);
        zygote_run_session(current, control, true);
    }
}

static _Noreturn void zygote_run(const struct current_policy *current, int channel) {
    /* It ends with the service, also if it is stopped. The name tells the two apart in ps(1). */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
        prctl(PR_SET_NAME, zygote_name, 0, 0, 0) < 0 || dup2(0, 2) < 0 ||
        setup_close_all_but(&channel, 1) < 0)
        _exit(1);
    for (;;) {
        struct channel_fds fds;
        char word;
        size_t size;
        int r = channel_receive(channel, &word, sizeof(word), &size, &fds);

        if (r < 0 || size == 0 || fds.n_fds != 1)
            _exit(0);
        session_make(current, fds.fds[0]);
        channel_fds_deinit(&fds);
    }
}

static void zygote_handle_end(void *argument, int stop_signal) {
    struct zygote *zygote = argument;

    if (stop_signal == 0)
        zygote_end(zygote);
}

static int zygote_make(struct zygote *zygote, struct reaper *reaper,
                       const struct current_policy *current) {
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        zygote_run(current, ends[1]);
    if (pid < 0) {
        int error = errno;

        (void)close(ends[0]);
        (void)close(ends[1]);
        return -error;
    }
    (void)close(ends[1]);
    *zygote = (struct zygote){.channel = ends[0], .generation = current->generation};
    /* It cannot fail: the child was just made. */
    (void)reaper_add(reaper, &zygote->process, pid, zygote_handle_end, zygote);
    return 0;
}

/*
 * Asks the zygote for a session with the present policy, which gets @control; @control stays the
 * caller's. The session says itself which process it is; if it cannot be made, its channel is
 * closed. Returns 0 or a negative errno.
 */
int zygote_ask_for_session(struct zygote *zygote, struct reaper *reaper,
                           const struct current_policy *current, int control) {
    const char word = 0;
    int r = 0;

    if (zygote->generation != current->generation)
        zygote_end(zygote);
    if (!reaper_is_alive(&zygote->process))
        r = zygote_make(zygote, reaper, current);
    return r < 0 ? r : channel_send(zygote->channel, &word, sizeof(word), &control, 1);
}

/* Ends the zygote, if there is one, also one that is stopped. The sessions that it made live on. */
void zygote_end(struct zygote *zygote) {
    base_close_fd(&zygote->channel);
    reaper_kill(&zygote->process);
}
