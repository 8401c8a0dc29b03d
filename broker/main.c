/*
 * utsbroker: sets a host name for a user without privileges, if the policy allows it.
 *
 * Started by utsrun with one end of a socketpair; nobody types its name. It holds CAP_SYS_ADMIN
 * until it has made a process in a new UTS namespace, and nothing from then on (session.c).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/privilege.h"
#include "broker/session.h"
#include "utsbroker/base.h"

enum { POLICY_FOLDERS_MAX = 16 };

struct options {
    int session_fd;
    const char *policy_folders[POLICY_FOLDERS_MAX];
    size_t n_policy_folders;
};

static const char usage[] =
    "usage: utsbroker --session-fd N [--policy-dir DIR]...\n"
    "utsbroker is started by utsrun; to run a command under another host name, say\n"
    "    utsrun -n node1.test -- COMMAND\n";

static _Noreturn void usage_fail(const char *why) {
    (void)fprintf(stderr, "utsbroker: %s\n%s", why, usage);
    exit(125);
}

/* 0, 1 and 2 are the command's; no number that strtol(3) would take generously is one here. */
static int session_fd_parse(const char *text) {
    char *end = NULL;
    long fd;

    errno = 0;
    fd = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || fd < 3 || fd > 1 << 20)
        usage_fail("--session-fd takes the number of an open socket, 3 or more");
    return (int)fd;
}

/*
 * In secure execution whoever started this holds less than it does: nothing is obeyed but
 * --session-fd. Otherwise they held what it holds, or are root, whose files the policy's are, and
 * may say which policy counts.
 */
static void options_parse(struct options *options, int argc, char **argv, bool is_secure) {
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && strcmp(argv[i], "--session-fd") == 0)
            options->session_fd = session_fd_parse(argv[++i]);
        else if (is_secure)
            usage_fail("this option is not obeyed from a caller without CAP_SYS_ADMIN");
        else if (i + 1 < argc && strcmp(argv[i], "--policy-dir") == 0 &&
                 options->n_policy_folders < POLICY_FOLDERS_MAX)
            options->policy_folders[options->n_policy_folders++] = argv[++i];
        else
            usage_fail("unknown option, or a value is missing");
    }
    if (options->session_fd < 0)
        usage_fail("--session-fd is missing");
    if (options->n_policy_folders == 0) {
        options->policy_folders[options->n_policy_folders++] = POLICY_FOLDER_ADMIN;
        options->policy_folders[options->n_policy_folders++] = POLICY_FOLDER_VENDOR;
    }
}

/* The command must not inherit the channel, and the channel must carry whole records. */
static int channel_check(int channel) {
    int domain, type;
    socklen_t size = sizeof(int);

    if (fcntl(channel, F_SETFD, FD_CLOEXEC) < 0 ||
        getsockopt(channel, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
        getsockopt(channel, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
        return -errno;
    return domain == AF_UNIX && type == SOCK_SEQPACKET ? 0 : -EPROTOTYPE;
}

/*
 * Opens /dev/null for each of 0, 1 and 2 that is closed, so that nothing else takes its place; the
 * gate closes them again for the command. In secure execution the C library has done it.
 */
static int stdio_fill(void) {
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return -errno;
    return 0;
}

int main(int argc, char **argv) {
    struct options options = {.session_fd = -1};
    struct session_setup setup;

    /* Modules that look up users obey variables, and secure execution does not remove all. */
    if (clearenv() != 0 || stdio_fill() < 0)
        usage_fail("no environment, or no /dev/null, to begin with");
    options_parse(&options, argc, argv, privilege_is_secure_execution());
    if (channel_check(options.session_fd) < 0)
        usage_fail("--session-fd is not a SOCK_SEQPACKET socket of AF_UNIX");
    setup = (struct session_setup){.channel = options.session_fd,
                                   .policy_folders = options.policy_folders,
                                   .n_policy_folders = options.n_policy_folders};
    session_run(&setup);
}
