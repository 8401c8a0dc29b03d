#include "broker/service/caller-description.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "broker/session/gate.h"
#include "broker/session/syslog.h"
#include "utsbroker/base.h"
#include "utsbroker/ledger.h"

enum { SILENCE_SECONDS = 5 /* how long a session waits for the request */ };

/*
 * The kernel checks RLIMIT_NPROC where a process is made, and the session's gate is made already.
 * So it is asked now, with the lower limit of the caller's and the service's.
 */
static int process_limit_check(const struct limits *limits) {
    const struct rlimit *callers = &limits->all[RLIMIT_NPROC];
    struct rlimit own, lowered;
    int r;

    if (getrlimit(RLIMIT_NPROC, &own) < 0)
        return -errno;
    if (callers->rlim_cur >= own.rlim_cur)
        return gate_check_limit();
    lowered = (struct rlimit){.rlim_cur = callers->rlim_cur, .rlim_max = own.rlim_max};
    if (setrlimit(RLIMIT_NPROC, &lowered) < 0)
        return -errno;
    r = gate_check_limit();
    return setrlimit(RLIMIT_NPROC, &own) < 0 ? -errno : r;
}

/* Without a ledger connects to the log daemon, which the session cannot do behind its filter. */
static void log_open(struct session_client *description, int *log_fdp) {
    struct syslog_link syslog = SYSLOG_LINK_NULL;

    description->has_ledger = access(LEDGER_NAMESPACE_PATH, F_OK) == 0 || errno != ENOENT;
    if (description->has_ledger != 0)
        return;
    description->log = syslog_open(&syslog, SYSLOG_SOCKET);
    description->log_is_stream = syslog.is_stream;
    *log_fdp = syslog.fd;
}

/*
 * Examines who is at the other end of @connection, and fills in @description, which
 * caller_description_deinit() frees; @has_proved as for peer_examine(). Limits how long a session
 * waits for the request. Returns 0 or a negative errno.
 */
int caller_describe(struct caller_description *description, int connection,
                    const struct subject *subject, const struct peer_reference *reference,
                    bool has_proved) {
    const struct timeval patience = {.tv_sec = SILENCE_SECONDS};
    struct session_client *record = &description->record;
    struct peer peer = {.pid = 0};

    *description = (struct caller_description)CALLER_DESCRIPTION_NULL;
    record->peer = peer_examine(&peer, connection, subject, reference, has_proved);
    if (record->peer == 0)
        record->peer = process_limit_check(&peer.limits);
    record->difference = peer.difference;
    record->limits = peer.limits;
    description->pid = peer.pid;
    if (setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        return -errno;
    log_open(record, &description->log_fd);
    return 0;
}

void caller_description_deinit(struct caller_description *description) {
    base_close_fd(&description->log_fd);
}
