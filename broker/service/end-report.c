#include "broker/service/end-report.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "broker/ledger-link.h"
#include "broker/privilege.h"
#include "utsbroker/base.h"

void end_reports_init(struct end_reports *reports) {
    *reports = (struct end_reports){.next = 0};
    for (size_t i = 0; i < END_REPORTS_MAX; i++)
        reports->links[i] = -1;
}

void end_reports_deinit(struct end_reports *reports) {
    for (size_t i = 0; i < END_REPORTS_MAX; i++)
        base_close_fd(&reports->links[i]);
}

/* Connects to the ledger. The capability is effective meanwhile, and no longer. */
static int link_open(int *linkp) {
    /* Safe: nothing of a stranger's is read before it is dropped. */
    int r = privilege_raise_sys_admin();
    int dropped;

    if (r == 0)
        r = ledger_link_open(SOCK_NONBLOCK, true, linkp);
    dropped = privilege_keep_sys_admin();
    if (dropped != 0) {
        (void)fputs("utsbroker: CAP_SYS_ADMIN stays effective; the service ends\n", stderr);
        _Exit(1);
    }
    return r;
}

/* Tells the ledger that the command @pid has ended with @wait_status (wait(2)). */
void end_reports_send(struct end_reports *reports, pid_t pid, int wait_status) {
    const struct ledger_event event = {.version = LEDGER_VERSION,
                                       .kind = LEDGER_END,
                                       .mode = LEDGER_SERVICE,
                                       .pid = pid,
                                       .wait_status = wait_status};
    int *linkp = &reports->links[reports->next];

    base_close_fd(linkp);
    if (link_open(linkp) == 0)
        (void)ledger_link_send(*linkp, &event, -1);
    reports->next = (reports->next + 1) % END_REPORTS_MAX;
}
