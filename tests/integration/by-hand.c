#include "tests/integration/by-hand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "launcher/inherit.h"
#include "launcher/options.h"
#include "launcher/request.h"
#include "utsbroker/channel.h"

/* Returns a connection to the service at @path, or a negative errno. */
int hand_connect(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return connect(channel, (const struct sockaddr *)&address, sizeof(address)) == 0 ? channel
                                                                                     : -errno;
}

/* Asks for true(1) under x.test. */
void hand_send_request(int channel) {
    const struct protocol_request request = {.version = PROTOCOL_VERSION,
                                             .names = PROTOCOL_HOSTNAME,
                                             .flags = PROTOCOL_TO_SERVICE,
                                             .hostname = "x.test"};
    char *command[] = {"true", NULL}, *environment[] = {"PATH=/usr/bin:/bin", NULL};
    const struct options options = {.hostname = "x.test", .command = command};
    const struct request_place place = {.closed_stdio = 7};
    struct channel_fds fds = {.n_fds = 2};

    fds.fds[PROTOCOL_CWD_FD] = open("/", O_PATH | O_CLOEXEC);
    if (request_write_launch(&fds.fds[PROTOCOL_LAUNCH_FD], &options, environment, &place) == 0)
        (void)channel_send(channel, &request, sizeof(request), fds.fds, fds.n_fds);
    channel_fds_deinit(&fds);
}

/* The status is PROTOCOL_STATUS_COUNT if none came. */
struct protocol_reply hand_receive_reply(int channel) {
    struct protocol_reply record, reply = {.status = PROTOCOL_STATUS_COUNT};
    struct channel_fds fds = {.n_fds = 0};
    size_t size = 0;

    if (channel_receive_surely(channel, &record, sizeof(record), &size, &fds) == 0)
        (void)protocol_decode_reply(&record, size, fds.n_fds, &reply);
    channel_fds_deinit(&fds);
    return reply;
}

/* Asks, and gives no proof. Returns the result. */
struct protocol_reply hand_ask(int channel) {
    struct protocol_reply reply;

    hand_send_request(channel);
    do
        reply = hand_receive_reply(channel);
    while (reply.status == PROTOCOL_PROVE);
    return reply;
}
