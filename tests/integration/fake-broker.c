/*
 * A broker that misbehaves as the first label of the host name says, so that a test can cause every
 * message of utsrun: "status-N-ERRNO.test" refuses with that status; see main() for the others.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

static void die(int number) {
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)signal(number, SIG_DFL); /* the runtime of a sanitizer may have set a handler */
    (void)kill(getpid(), number);
}

/*
 * Makes a new child of utsrun, as the gate is. After 0.5 s it prints "lives", unless it was killed.
 */
static void make_sibling(int channel) {
    struct clone_args arguments = {.flags = CLONE_PARENT};

    if (syscall(SYS_clone3, &arguments, sizeof(arguments)) != 0)
        return;
    (void)close(channel);
    usleep(500000);
    (void)!write(1, "lives\n", 6);
    _exit(0);
}

int main(int argc, char **argv) {
    struct protocol_request request;
    struct protocol_reply reply = {.version = PROTOCOL_VERSION, .names = PROTOCOL_HOSTNAME};
    struct channel_fds fds;
    size_t size;
    int channel = argc == 3 ? atoi(argv[2]) : -1;
    int number, error = 0;

    if (signal(SIGCHLD, SIG_DFL) == SIG_IGN) /* utsrun must not pass on an ignored SIGCHLD */
        return 3;
    if (channel_receive(channel, &request, sizeof(request), &size, &fds) < 0 || size == 0)
        return 9;
    snprintf(reply.rule_file, sizeof(reply.rule_file), "/etc/rules.conf");
    reply.rule_line = 7;
    reply.n_live = reply.limit = 3;
    if (sscanf(request.hostname, "signal-%d.", &number) == 1)
        die(number);
    if (sscanf(request.hostname, "exit-%d.", &number) == 1)
        return number;
    if (sscanf(request.hostname, "sibling-%d.", &number) == 1) {
        make_sibling(channel);
        reply.status = (uint32_t)number;
    }
    if (sscanf(request.hostname, "status-%d-%d.", &number, &error) >= 1)
        reply.status = (uint32_t)number;
    if (reply.status == PROTOCOL_CALLER_CONFINED)
        reply.confinement = (uint32_t)error & 0xff; /* and, above that, the kind of namespace */
    else
        reply.error = error;
    if (reply.confinement == PROTOCOL_OTHER_NAMESPACE)
        reply.namespace_kind = (uint32_t)error >> 8;
    if (sscanf(request.hostname, "groups-%u-%d.", &reply.groups_lost, &number) == 2) {
        reply.status = PROTOCOL_DENIED;
        reply.group = (uint32_t)number;
    }
    if (reply.confinement == PROTOCOL_LACKS_GROUP)
        reply.group = 54329;
    if (strcmp(request.hostname, "version.test") == 0)
        reply.version = PROTOCOL_VERSION + 1;
    if (strcmp(request.hostname, "hang.test") == 0)
        pause();
    if (strcmp(request.hostname, "short.test") == 0)
        return channel_send(channel, &reply, 10, NULL, 0);
    if (strcmp(request.hostname, "fds.test") == 0)
        return channel_send(channel, &reply, sizeof(reply), (int[]){0, 1, 2}, 3);
    return channel_send(channel, &reply, sizeof(reply), NULL, 0);
}
