#include "launcher/attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "launcher/direct-client.h"
#include "launcher/message.h"
#include "launcher/mode.h"
#include "launcher/program.h"
#include "launcher/service-client.h"

/* Bit N: descriptor N is closed. Call it first: later, this program's own descriptors may be there.
 */
uint32_t attempt_find_closed_stdio(void) {
    uint32_t closed = 0;

    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            closed |= 1U << fd;
    return closed;
}

/*
 * True if a setuid program started this one: it is not clear for which user. The broker refuses,
 * too.
 */
bool attempt_has_ambiguous_ids(void) {
    return getuid() != geteuid() || getgid() != getegid();
}

static _Noreturn void end_without_service(int error) {
    char what[128], fix[256];

    (void)snprintf(what, sizeof(what), "the service at " RUN_FOLDER "/%u.sock cannot be reached",
                   (unsigned)getuid());
    (void)snprintf(fix, sizeof(fix),
                   "it starts when you log in; for cron and at, run: loginctl enable-linger; "
                   "or use %s, or ask your administrator to run: systemctl enable --now "
                   "utsbroker@%u.socket",
                   program.via_direct, (unsigned)getuid());
    if (error == EAGAIN) /* the service exists */
        message("%s: it accepts no connection within %d seconds; try again, or use %s", what,
                SERVICE_CLIENT_TIMEOUT_SECONDS, program.via_direct);
    else
        message_failure(what, error, fix);
    _exit(program.status_failed);
}

/*
 * Runs the command of @options, in the mode that it says or that is possible, and ends as the
 * command does. @closed_stdio is attempt_find_closed_stdio()'s. Returns only if the request was
 * refused, with @refusalp filled; all signals are blocked then.
 */
void attempt_run(const struct options *options, uint32_t closed_stdio, struct refusal *refusalp) {
    if (!mode_is_direct(options)) {
        int channel = -1;
        int r = service_client_connect(&channel);

        if (r == 0) {
            service_client_run(options, closed_stdio, channel, refusalp);
            return;
        }
        /* Without a service the message of direct mode says what both modes need. */
        if (options->mode != MODE_AUTO || (r != -ENOENT && r != -ECONNREFUSED && r != -EACCES))
            end_without_service(-r);
    }
    direct_client_run(options, closed_stdio, refusalp);
}
