#include "broker/service/reply.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "utsbroker/channel.h"

/*
 * Looks at the version of the request that waits at @connection, and leaves it there: of all that a
 * stranger sends, the service reads these four bytes only, and a session the rest. Returns a
 * version that the broker speaks.
 */
uint32_t reply_peek_version(int connection) {
    uint32_t version = PROTOCOL_VERSION;
    ssize_t n = recv(connection, &version, sizeof(version), MSG_PEEK | MSG_DONTWAIT);

    return protocol_choose_version(&version, n > 0 ? (size_t)n : 0);
}

/*
 * Refuses a request without a session, with @status and the negative errno @error, or 0. A
 * @connection of -1 is ignored: the launcher has hung up. A launcher that does not read is not
 * waited for.
 */
void reply_refuse(int connection, uint32_t version, enum protocol_status status, int error) {
    const struct protocol_reply reply = {.version = version, .status = status, .error = -error};

    if (error < 0)
        (void)fprintf(stderr, "utsbroker: refusal: no session could serve a client: %s\n",
                      strerror(-error));
    if (connection >= 0)
        (void)send(connection, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * Asks the launcher, whose version knows this, to attach to the process @witness, whose pidfd is
 * @pidfd (PROTOCOL_PROVE). It is the first record that the launcher gets, so there is room for it.
 */
void reply_ask_for_proof(int connection, pid_t witness, int pidfd) {
    const struct protocol_reply reply = {
        .version = PROTOCOL_VERSION, .status = PROTOCOL_PROVE, .pid = witness};

    (void)channel_send(connection, &reply, sizeof(reply), &pidfd, 1);
}

/*
 * Tells the launcher that its command has stopped or ended (wait(2)), if @connection is not -1. A
 * launcher that does not read has the pidfd, too.
 */
void reply_notify(int connection, uint32_t version, int wait_status) {
    const struct protocol_notice notice = {.version = version, .wait_status = wait_status};

    if (connection >= 0)
        (void)send(connection, &notice, sizeof(notice), MSG_DONTWAIT | MSG_NOSIGNAL);
}
