/*
 * utsrun: runs a command under another host name. utsrun has no privilege: it sends a request to a
 * broker, waits for the command, and ends as the command does.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "launcher/direct-client.h"
#include "launcher/live-list.h"
#include "launcher/message.h"
#include "launcher/mode.h"
#include "launcher/options.h"
#include "launcher/policy-query.h"
#include "launcher/service-client.h"
#include "utsbroker/ledger.h"

/* Bit N: descriptor N is closed. Call it first: later, utsrun's own descriptors may be there. */
static uint32_t find_closed_stdio(void) {
    uint32_t closed = 0;

    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            closed |= 1U << fd;
    return closed;
}

/* True if a setuid program started utsrun: it is not clear for which user. The broker refuses, too.
 */
static bool has_ambiguous_ids(void) {
    return getuid() != geteuid() || getgid() != getegid();
}

static _Noreturn void end_without_service(int error) {
    char what[128], fix[256];

    (void)snprintf(what, sizeof(what), "the service at " RUN_FOLDER "/%u.sock cannot be reached",
                   (unsigned)getuid());
    (void)snprintf(fix, sizeof(fix),
                   "it starts when you log in; for cron and at, run: loginctl enable-linger; "
                   "or use --via direct, or ask your administrator to run: systemctl enable --now "
                   "utsbroker@%u.socket",
                   (unsigned)getuid());
    if (error == EAGAIN) /* the service exists */
        message("%s: it accepts no connection within %d seconds; try again, or use --via direct",
                what, SERVICE_CLIENT_TIMEOUT_SECONDS);
    else
        message_failure(what, error, fix);
    _exit(EXIT_UTSRUN_FAILED);
}

/*
 * Runs the command by the service. Returns if direct mode is chosen, or if there is no service and
 * the mode is auto: then the message of direct mode says what both need.
 */
static void run_by_service(const struct options *options, uint32_t closed_stdio) {
    int channel = -1;
    int r;

    if (mode_is_direct(options))
        return;
    r = service_client_connect(&channel);
    if (r == 0)
        service_client_run(options, closed_stdio, channel);
    if (options->mode == MODE_AUTO && (r == -ENOENT || r == -ECONNREFUSED || r == -EACCES))
        return;
    end_without_service(-r);
}

/* Has the kernel kill utsrun when its parent ends. The command then ends with utsrun. */
static int end_with_parent(void) {
    const pid_t parent = getppid();

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
        message_failure("--die-with-parent is not possible", errno, "leave it out");
        return EXIT_UTSRUN_FAILED;
    }
    return getppid() == parent ? 0 : EXIT_UTSRUN_FAILED; /* the parent has ended already */
}

int main(int argc, char **argv) {
    uint32_t closed_stdio = find_closed_stdio();
    struct options options;

    switch (options_parse(&options, argc, argv)) {
    case 0:
        break;
    case OPTIONS_E_DONE:
        return 0;
    default:
        return EXIT_UTSRUN_FAILED;
    }
    if (options.action == ACTION_LIST)
        policy_query_list();
    if (options.action == ACTION_PS)
        return live_list_print(LEDGER_LIVE_PATH, getuid(), options.is_json, stdout);
    if (options.action == ACTION_CHECK)
        return policy_query_check(&options);
    if (has_ambiguous_ids()) {
        message("real and effective ids differ (started by a setuid program?), so it is not clear "
                "which user asks; start utsrun with equal ids");
        return EXIT_UTSRUN_FAILED;
    }
    if (options.dies_with_parent && end_with_parent() != 0)
        return EXIT_UTSRUN_FAILED;
    run_by_service(&options, closed_stdio);
    direct_client_run(&options, closed_stdio);
}
