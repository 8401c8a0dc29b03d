#include "broker/service/reply.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "utsbroker/base.h"
#include "utsbroker/protocol.h"

/*
 * Tells the launcher that no session could be had for it, or kept, for the negative errno @error. A
 * @connection of -1 has hung up; one that cannot be written to is not waited for.
 */
void connection_refuse(int connection, int error) {
    const struct protocol_reply reply = {
        .version = PROTOCOL_VERSION, .status = PROTOCOL_KERNEL_REFUSED, .error = -error};

    (void)fprintf(stderr, "utsbroker: refusal: no session could be started: %s\n",
                  strerror(-error));
    if (connection >= 0)
        (void)send(connection, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * Tells the launcher that its command has stopped or ended (wait(2)), if @connection is not -1. One
 * that does not read has the pidfd, too.
 */
void connection_notify(int connection, int wait_status) {
    const struct protocol_notice notice = {.version = PROTOCOL_VERSION, .wait_status = wait_status};

    if (connection >= 0)
        (void)send(connection, &notice, sizeof(notice), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * True if nothing is queued that nobody has read; nothing can be queued any more. Reads no byte:
 * with SO_PASSCRED each record says who sent it, also an empty one.
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
    if (n < 0) /* what the peer's end left behind as an error is said once */
        n = recvmsg(connection, &message, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 && message.msg_controllen == 0;
}

/*
 * A process that has @connection and nothing else of the service, and stands still, whoever lets it
 * go on. 0: it could not be made, or was killed.
 */
static pid_t holder_make(int connection) {
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if ((connection > 3 && syscall(SYS_close_range, 3, (unsigned)connection - 1, 0) < 0) ||
            syscall(SYS_close_range, (unsigned)connection + 1, ~0U, 0) < 0)
            _exit(1);
        for (;;)
            (void)raise(SIGSTOP);
    }
    return pid > 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) ? pid : 0;
}

/*
 * Closes *@connectionp for good. The last close(2) closes what is queued as well, and a stranger's
 * descriptor can take for ever to be closed (SO_LINGER, a file system that does not answer). So if
 * anything is queued, a process that is killed has the last one; it is left to be reaped. Where
 * there can be no such process, its user has left their own service none, and waits for their own
 * file.
 */
void connection_close(int *connectionp) {
    pid_t holder = queue_is_empty(*connectionp) ? 0 : holder_make(*connectionp);

    base_close_fd(connectionp);
    if (holder != 0)
        (void)kill(holder, SIGKILL);
}
