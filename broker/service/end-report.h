#pragma once

/*
 * Tells the ledger how a command ended, where the kernel does not (before Linux 6.15). The service
 * has other clients, so it never waits for the ledger: what the ledger does not take is lost, and
 * its log then says that it does not know.
 */

#include <stddef.h>
#include <sys/types.h>

enum { END_REPORTS_MAX = 32 };

/*
 * The last connections to the ledger, closed one by one for later ones: a connection that is closed
 * before the ledger has said hello may have its event discarded.
 */
struct end_reports {
    int links[END_REPORTS_MAX];
    size_t next;
};

void end_reports_init(struct end_reports *reports);
void end_reports_deinit(struct end_reports *reports);
void end_reports_send(struct end_reports *reports, pid_t pid, int wait_status);
