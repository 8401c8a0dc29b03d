#include "broker/service/reply.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/service/reaper.h"
#include "broker/service/setup.h"
#include "utsbroker/base.h"
#include "utsbroker/protocol.h"

/*
 * Refuses a request because of the negative errno @error: no session could be made for it, or kept.
 * A @connection of -1 is ignored: the launcher has hung up. A launcher that does not read is not
 * waited for.
 */
void reply_refuse(int connection, int error) {
    const struct protocol_reply reply = {
        .version = PROTOCOL_VERSION, .status = PROTOCOL_KERNEL_REFUSED, .error = -error};

    (void)fprintf(stderr, "utsbroker: refusal: no session could be started: %s\n",
                  strerror(-error));
    if (connection >= 0)
        (void)send(connection, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * Tells the launcher that its command has stopped or ended (wait(2)), if @connection is not -1. A
 * launcher that does not read has the pidfd, too.
 */
void reply_notify(int connection, int wait_status) {
    const struct protocol_notice notice = {.version = PROTOCOL_VERSION, .wait_status = wait_status};

    if (connection >= 0)
        (void)send(connection, &notice, sizeof(notice), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * True if no record waits on @connection that nobody has read; none can be sent to it any more.
 * Reads no byte: with SO_PASSCRED each record, even an empty one, says who sent it.
 */
static bool queue_is_empty(int connection) {
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr aligned;
    } control;
    struct msghdr message = {.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    const int on = 1;
    ssize_t n;

    if (shutdown(connection, SHUT_RD) < 0 ||
        setsockopt(connection, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
        return false;
    n = recvmsg(connection, &message, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0) /* an error that the peer's end left is reported once */
        n = recvmsg(connection, &message, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 && message.msg_controllen == 0;
}

/*
 * Makes a process that has @connection and no other descriptor of the service, and that stays
 * stopped. Returns its pid; 0 if it could not be made, or was killed.
 */
static pid_t holder_make(int connection) {
    pid_t pid = fork();

    if (pid == 0) {
        if (setup_close_all_but(connection) < 0)
            _exit(1);
        for (;;)
            (void)raise(SIGSTOP);
    }
    return pid > 0 ? reaper_wait_for_stop(pid) : 0;
}

/*
 * Closes *@connectionp for good. The last close(2) also closes what is queued, and a stranger's
 * descriptor can take for ever to be closed (SO_LINGER, a file system that does not answer). So if
 * anything is queued, another process has the last copy and is killed; the reaper reaps it. If that
 * process cannot be made, this blocks: the user has used up their own processes.
 */
void reply_close_connection(int *connectionp) {
    pid_t holder = queue_is_empty(*connectionp) ? 0 : holder_make(*connectionp);

    base_close_fd(connectionp);
    if (holder != 0)
        (void)kill(holder, SIGKILL);
}
