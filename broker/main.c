/*
 * utsbroker: runs a command under another host name for a user without privileges, if the policy
 * permits it.
 *
 * Direct mode: utsrun starts it with one end of a socketpair, and it serves that one request
 * (broker/session). It holds CAP_SYS_ADMIN until it has made a process in a new UTS namespace.
 * Service mode: a service manager starts it with that one capability. It listens for all requests
 * of one user and has a session serve each (broker/service).
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/service/setup.h"
#include "broker/privilege.h"
#include "broker/service/reload.h"
#include "broker/service/service.h"
#include "broker/service/witness.h"
#include "broker/session/session.h"
#include "utsbroker/base.h"

enum { POLICY_FOLDERS_MAX = 16 };

struct options {
    int session_fd;
    bool is_listening;
    const char *socket_path; /* NULL: the service manager passes the socket */
    int idle_exit_seconds;   /* -1: not given */
    pid_t witness_for;       /* 0: not a witness */
    int resume_fd, check_fd; /* of a service that goes on; 0: not given */
    const char *policy_folders[POLICY_FOLDERS_MAX];
    size_t n_policy_folders;
};

static const char usage[] =
    "usage: utsbroker --session-fd N [--policy-dir DIR]...\n"
    "       utsbroker --listen [PATH] [--idle-exit SECONDS] [--policy-dir DIR]...\n"
    "utsbroker is started by utsrun, or by the service manager; to run a command under\n"
    "another host name, say\n"
    "    utsrun -n node1.test -- COMMAND\n";

static _Noreturn void usage_fail(const char *why) {
    (void)fprintf(stderr, "utsbroker: %s\n%s", why, usage);
    exit(125);
}

/* Stricter than strtol(3): no blanks, no sign, nothing after the digits. */
static int number_parse(const char *text, long min, long max, const char *why) {
    char *end = NULL;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < min ||
        number > max)
        usage_fail(why);
    return (int)number;
}

/* Takes the option at argv[i] and its value. Returns how many words the value takes: 0 or 1. */
static int option_take(struct options *options, char **argv, int i) {
    const char *option = argv[i], *value = argv[i + 1]; /* NULL after the last */
    bool is_path = value != NULL && value[0] == '/';

    if (strcmp(option, "--listen") == 0) {
        options->is_listening = true;
        options->socket_path = is_path ? value : NULL;
        return is_path ? 1 : 0;
    }
    if (value == NULL)
        usage_fail("unknown option, or a value is missing");
    if (strcmp(option, "--idle-exit") == 0)
        options->idle_exit_seconds =
            number_parse(value, 0, 1 << 20, "--idle-exit takes seconds; 0 is never");
    else if (strcmp(option, "--witness") == 0)
        options->witness_for = number_parse(value, 1, 1 << 22, "--witness takes a process id");
    else if (strcmp(option, "--resume") == 0)
        options->resume_fd = number_parse(value, 3, INT_MAX, "--resume takes a descriptor");
    else if (strcmp(option, "--check-resume") == 0)
        options->check_fd = number_parse(value, 3, INT_MAX, "--check-resume takes a descriptor");
    else if (strcmp(option, "--policy-dir") == 0 && options->n_policy_folders < POLICY_FOLDERS_MAX)
        options->policy_folders[options->n_policy_folders++] = value;
    else
        usage_fail("unknown option, or a value is missing");
    return 1;
}

/*
 * In secure execution the caller holds less than this process: only --session-fd is obeyed.
 * Otherwise the caller held the capability already, or is root, and may choose the policy.
 */
static void options_parse(struct options *options, int argc, char **argv, bool is_secure) {
    for (int i = 1; i < argc; i++) {
        /* 0, 1 and 2 belong to the command. */
        if (i + 1 < argc && strcmp(argv[i], "--session-fd") == 0)
            options->session_fd =
                number_parse(argv[++i], 3, 1 << 20,
                             "--session-fd takes the number of an open socket, 3 or more");
        else if (is_secure)
            usage_fail("only a caller that holds CAP_SYS_ADMIN may give this option");
        else
            i += option_take(options, argv, i);
    }
    if (options->witness_for != 0 || options->resume_fd != 0 || options->check_fd != 0)
        return;
    if ((options->session_fd >= 0) == options->is_listening)
        usage_fail("say one of --session-fd and --listen");
    if (options->n_policy_folders == 0) {
        options->policy_folders[options->n_policy_folders++] = POLICY_FOLDER_ADMIN;
        options->policy_folders[options->n_policy_folders++] = POLICY_FOLDER_VENDOR;
    }
}

/* The channel must carry whole records. It is close-on-exec: the command must not inherit it. */
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
 * Opens /dev/null for each of 0, 1 and 2 that is closed, so that no other file gets the number. The
 * gate closes them again for the command. In secure execution the C library has done it.
 */
static int stdio_fill(void) {
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return -errno;
    return 0;
}

static _Noreturn void run_session(const struct options *options) {
    const struct session_setup setup = {.channel = options->session_fd,
                                        .policy_folders = options->policy_folders,
                                        .n_policy_folders = options->n_policy_folders};

    if (channel_check(options->session_fd) < 0)
        usage_fail("--session-fd is not a SOCK_SEQPACKET socket of AF_UNIX");
    session_run(&setup);
}

/* A service that no manager starts again does not exit. */
static unsigned idle_exit_choose(const struct options *options, const struct listener *listener) {
    const unsigned managed_default_seconds = 60;

    if (options->idle_exit_seconds >= 0)
        return (unsigned)options->idle_exit_seconds;
    return listener->is_managed ? managed_default_seconds : 0;
}

static _Noreturn void run_service(const struct options *options, struct listener *listener,
                                  int taken) {
    struct service_setup setup = {.policy_folders = options->policy_folders,
                                  .n_policy_folders = options->n_policy_folders};
    int r = taken;

    /* Before the socket exists: without the capability no client must find one. */
    if (setup_privilege() < 0)
        exit(1);
    if (options->socket_path != NULL) {
        listener_drop(listener);
        r = listener_bind(listener, options->socket_path);
    }
    if (r == LISTENER_E_NONE)
        usage_fail(
            "--listen without a path takes its socket from the service manager (LISTEN_FDS), "
            "which has passed none");
    if (r == LISTENER_E_WRONG)
        usage_fail("the service manager passed a socket that is not a listening SOCK_SEQPACKET "
                   "socket of AF_UNIX");
    if (r == LISTENER_E_IN_USE)
        usage_fail("another process listens at this path already");
    if (r < 0) {
        (void)fprintf(stderr, "utsbroker: listening at %s failed: %s%s\n",
                      options->socket_path != NULL ? options->socket_path : "the socket passed",
                      strerror(-r),
                      r == -ENOSPC || r == -EDQUOT ? "; make room there, and start it again" : "");
        exit(125);
    }
    setup.listener = *listener;
    setup.idle_exit_seconds = idle_exit_choose(options, listener);
    service_run(&setup);
}

/* The service goes on after a reload: this program was executed in the place of another. */
static _Noreturn void resume_service(int memfd) {
    static struct handover handover = HANDOVER_NULL;
    struct service_setup setup = {.handover = &handover};
    int r = reload_resume(&handover, memfd);

    (void)prctl(PR_SET_NAME, "utsbroker", 0, 0, 0);
    if (r < 0) {
        (void)fprintf(stderr, "utsbroker: reload: what was handed over cannot be read: %s\n",
                      strerror(-r));
        reload_wait_for_children();
    }
    if (setup_privilege() < 0)
        reload_wait_for_children();
    setup.listener = (struct listener){.fd = handover.listener,
                                       .path = handover.path,
                                       .inode = handover.inode,
                                       .is_managed = handover.is_managed};
    setup.policy_folders = handover.folders;
    setup.n_policy_folders = handover.n_folders;
    setup.idle_exit_seconds = handover.idle_exit_seconds;
    service_run(&setup);
}

int main(int argc, char **argv) {
    struct options options = {.session_fd = -1, .idle_exit_seconds = -1};
    struct listener listener = LISTENER_NULL;
    bool is_secure = privilege_is_secure_execution();
    int taken = is_secure ? LISTENER_E_NONE : listener_take(&listener);

    /* NSS modules obey variables that secure execution does not remove. */
    if (clearenv() != 0 || stdio_fill() < 0)
        usage_fail("the environment could not be cleared, or /dev/null could not be opened");
    options_parse(&options, argc, argv, is_secure);
    if (options.witness_for != 0)
        witness_run(options.witness_for);
    if (options.check_fd != 0)
        reload_check(options.check_fd);
    if (options.resume_fd != 0)
        resume_service(options.resume_fd);
    if (options.is_listening)
        run_service(&options, &listener, taken);
    run_session(&options);
}
