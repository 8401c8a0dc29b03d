/*
 * utsbroker-ledger: keeps the log of utsbroker, counts the commands that run under a rule with a
 * limit, and knows which live. It runs as a user of its own and holds no capability, so no user
 * whose commands are in the books can change them.
 */

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/ledger/ledger.h"
#include "broker/listener.h"
#include "utsbroker/base.h"
#include "utsbroker/live.h"

enum { EXIT_USAGE = 125, BACKLOG = 4096 /* the kernel caps it at net.core.somaxconn */ };

static const char usage[] =
    "usage: utsbroker-ledger [--listen] [--log FILE] [--live FILE]\n"
    "The service manager starts it and passes its socket; with --listen it makes the socket, in\n"
    "the network namespace " LEDGER_NAMESPACE_PATH "; utsbroker-ledger(8)\n";

static _Noreturn void usage_fail(const char *why) {
    (void)fprintf(stderr, "utsbroker-ledger: %s\n%s", why, usage);
    exit(EXIT_USAGE);
}

/* True if this process has any privilege, which the ledger must not have. */
static bool has_privilege(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    return getuid() == 0 || geteuid() == 0 || syscall(SYS_capget, &header, data) < 0 ||
           (data[0].permitted | data[1].permitted | data[0].inheritable | data[1].inheritable) != 0;
}

/* True if this process is in the ledger's network namespace: elsewhere anybody could connect. */
static bool is_in_namespace(void) {
    struct stat ours, wanted;

    return stat("/proc/self/ns/net", &ours) == 0 && stat(LEDGER_NAMESPACE_PATH, &wanted) == 0 &&
           ours.st_ino == wanted.st_ino && ours.st_dev == wanted.st_dev;
}

static int socket_make(void) {
    struct sockaddr_un address;
    const socklen_t size = ledger_address(&address);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (!is_in_namespace())
        usage_fail("--listen works only in the network namespace " LEDGER_NAMESPACE_PATH
                   "; enter it by nsenter --net=" LEDGER_NAMESPACE_PATH);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, size) < 0 || listen(fd, BACKLOG) < 0)
        return -errno;
    return base_steal_fd(&fd);
}

static void options_parse(struct ledger_setup *setup, bool *is_listening, char **argv) {
    for (int i = 1; argv[i] != NULL; i++) {
        const char **valuep = strcmp(argv[i], "--log") == 0    ? &setup->log_path
                              : strcmp(argv[i], "--live") == 0 ? &setup->live_path
                                                               : NULL;

        if (strcmp(argv[i], "--listen") == 0)
            *is_listening = true;
        else if (valuep == NULL || argv[i + 1] == NULL)
            usage_fail("unknown option, or a value is missing");
        else
            *valuep = argv[++i];
    }
}

int main(int argc, char **argv) {
    struct ledger_setup setup = {
        .listener = -1, .log_path = LEDGER_LOG_PATH, .live_path = LEDGER_LIVE_PATH};
    struct listener listener = LISTENER_NULL;
    bool is_listening = false;
    int r;

    (void)argc;
    options_parse(&setup, &is_listening, argv);
    if (has_privilege())
        usage_fail("it must run as a user of its own, not root, and without capabilities");
    r = listener_take(&listener);
    setup.notify_socket = listener.notify_socket;
    setup.listener = listener.fd;
    setup.is_kept = !is_listening;
    if (is_listening) {
        listener_drop(&listener);
        setup.listener = r = socket_make();
    }
    if (r == LISTENER_E_NONE)
        usage_fail(
            "the service manager has passed no socket (LISTEN_FDS), and --listen is missing");
    if (r == LISTENER_E_WRONG)
        usage_fail("the service manager passed a socket that is not a listening SOCK_SEQPACKET "
                   "socket of AF_UNIX");
    if (r < 0) {
        (void)fprintf(stderr, "utsbroker-ledger: listening: %s\n", strerror(-r));
        return EXIT_FAILURE;
    }
    (void)umask(027);
    return ledger_run(&setup);
}
