/*
 * utsrun: runs a command under another host name. utsrun has no privilege: it sends a request to a
 * broker, waits for the command, and ends as the command does.
 */

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "launcher/attempt.h"
#include "launcher/live-list.h"
#include "launcher/message.h"
#include "launcher/options.h"
#include "launcher/policy-query.h"
#include "launcher/program.h"
#include "launcher/refusal.h"
#include "utsbroker/ledger.h"

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
    uint32_t closed_stdio = attempt_find_closed_stdio();
    struct options options;
    struct refusal refusal;

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
    if (attempt_has_ambiguous_ids()) {
        message("real and effective ids differ (started by a setuid program?), so it is not clear "
                "which user asks; start utsrun with equal ids");
        return EXIT_UTSRUN_FAILED;
    }
    if (options.dies_with_parent && end_with_parent() != 0)
        return EXIT_UTSRUN_FAILED;
    attempt_run(&options, closed_stdio, &refusal);
    /* As after a command: nothing is buffered, and there may be no process or thread to be had. */
    _exit(refusal_print(&options, &refusal));
}
