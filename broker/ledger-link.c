#include "broker/ledger-link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/privilege.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"

enum { PATIENCE_SECONDS = 5 };

/*
 * Connects to the ledger. CAP_SYS_ADMIN must be effective. A ledger that does not answer is waited
 * for five seconds, here and by the functions below; with SOCK_NONBLOCK in @flags it is not waited
 * for. Without @comes_back this process stays in the ledger's network namespace: that saves the way
 * back, and is for who makes no child and no other socket.
 *
 * Returns 0 with *@linkp, the caller's; LEDGER_LINK_E_NONE; a negative errno, -ECONNREFUSED if no
 * ledger runs, -EAGAIN if it does not answer. The caller must refuse then: else who prevents the
 * connection keeps grants out of the log.
 */
int ledger_link_open(int flags, bool comes_back, int *linkp) {
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    struct sockaddr_un address;
    const socklen_t size = ledger_address(&address);
    CLEANUP_FD int space = open(LEDGER_NAMESPACE_PATH, O_RDONLY | O_CLOEXEC);
    CLEANUP_FD int link = -1;
    int r;

    if (space < 0)
        return errno == ENOENT ? LEDGER_LINK_E_NONE : -errno;
    r = privilege_make_socket_in(space, flags, comes_back, &link);
    if (r < 0)
        return r;
    if (setsockopt(link, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
        setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(link, (const struct sockaddr *)&address, size) < 0)
        return -errno;
    *linkp = base_steal_fd(&link);
    return 0;
}

/* Receives a record of @size bytes. Returns 0; -EPIPE if the ledger has ended; a negative errno. */
static int record_receive(int link, void *record, size_t size) {
    struct channel_fds fds;
    size_t received;
    int r = channel_receive_surely(link, record, size, &received, &fds);

    if (r == -ECONNRESET)
        return -EPIPE;
    if (r < 0)
        return r;
    channel_fds_deinit(&fds);
    return received == size ? 0 : received == 0 ? -EPIPE : -EBADMSG;
}

/*
 * Receives what the ledger says first. Returns 0 with *@hellop; -EPIPE if it has ended since
 * ledger_link_open(); -EAGAIN if it does not answer; another negative errno.
 */
int ledger_link_receive_hello(int link, struct ledger_hello *hellop) {
    struct ledger_hello hello;
    int r = record_receive(link, &hello, sizeof(hello));

    if (r < 0)
        return r;
    return ledger_decode_hello(&hello, sizeof(hello), 0, hellop) ? 0 : -EBADMSG;
}

/*
 * Returns 0 if the ledger still has its end of @link; LEDGER_LINK_E_ENDS; -EPIPE. All that it sent
 * at first must have been received: a hello that waited in the queue says nothing about that.
 */
int ledger_link_check(int link) {
    char byte;
    struct iovec bytes = {.iov_base = &byte, .iov_len = sizeof(byte)};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    ssize_t n = recvmsg(link, &message, MSG_PEEK | MSG_DONTWAIT);

    return n > 0 ? LEDGER_LINK_E_ENDS : n < 0 && errno == EAGAIN ? 0 : -EPIPE;
}

/* Sends @event, with @pidfd if that is not -1. Returns 0 or a negative errno, as above. */
int ledger_link_send(int link, const struct ledger_event *event, int pidfd) {
    int r = channel_send(link, event, sizeof(*event), &pidfd, pidfd >= 0 ? 1 : 0);

    return r == -ECONNRESET ? -EPIPE : r;
}

/*
 * Receives the ledger's reply to an event. It may have said before that it ends, when the event was
 * on its way; it replies all the same. Returns 0 with *@replyp or a negative errno, as above.
 */
int ledger_link_receive_reply(int link, struct ledger_reply *replyp) {
    struct ledger_reply reply = {.status = LEDGER_ENDS};
    int r = 0;

    for (int i = 0; i < 2 && r == 0 && reply.status == LEDGER_ENDS; i++) {
        r = record_receive(link, &reply, sizeof(reply));
        if (r == 0 && !ledger_decode_reply(&reply, sizeof(reply), 0, replyp))
            r = -EBADMSG;
    }
    return r;
}
