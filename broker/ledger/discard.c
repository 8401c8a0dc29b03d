#include "broker/ledger/discard.h"

#include <sys/socket.h>
#include <unistd.h>

#include "broker/ledger/identity.h"
#include "utsbroker/base.h"
#include "utsbroker/ledger.h"

enum { RECORDS_MAX = 4096 /* more than a socket's queue holds */ };

/*
 * Closes those of @fds that are pidfds. The others stay open for ever, and @account is charged for
 * them: they are not what a broker sends, and close(2) of them could take for ever (a lingering
 * socket, a file system that does not answer).
 */
void discard_descriptors(struct account *account, struct channel_fds *fds) {
    for (size_t i = 0; i < fds->n_fds; i++) {
        struct identity identity;
        int r = identity_read(&identity, fds->fds[i], 0);

        if (r == 0 || r == IDENTITY_E_OTHER_USER || r == IDENTITY_E_ENDED)
            base_close_fd(&fds->fds[i]);
        else
            account->n_parked++;
    }
    fds->n_fds = 0;
}

/* True if nothing more is received from this user, who has sent too many wrong descriptors. */
bool discard_is_barred(const struct account *account) {
    return account->n_parked >= ACCOUNT_PARKED_MAX;
}

/* True if nothing that was sent to @fd is left in its queue. With SO_PASSCRED only the end of the
 * connection comes without control data, and not an empty record. Takes no descriptor. */
static bool is_drained(int fd) {
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr aligned;
    } control;
    struct msghdr message = {.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);

    if (n < 0) /* an error that the peer's end left is reported once */
        n = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 && message.msg_controllen == 0;
}

/*
 * Closes @fd after what was sent to it was taken out: close(2) would close queued descriptors. If
 * the user is barred nothing is taken out, and it stays open; the peer sees its end all the same.
 */
void discard_connection(struct account *account, int fd) {
    const int on = 1;
    struct ledger_event event;
    struct channel_fds fds;
    size_t size;

    if (shutdown(fd, SHUT_RDWR) < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
        return;
    for (int i = 0; !is_drained(fd); i++) {
        if (discard_is_barred(account) || i == RECORDS_MAX)
            return;
        (void)channel_receive_all(fd, &event, sizeof(event), &size, &fds);
        discard_descriptors(account, &fds);
    }
    (void)close(fd);
}
