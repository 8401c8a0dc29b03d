#include "broker/service/service-log.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/audit.h"
#include "broker/service/service.h"
#include "utsbroker/base.h"

/*
 * The service has others to serve, and nobody can be refused any more for what is not written: so
 * the daemon is not waited for. Returns 0, also if there is none, or a negative errno.
 */
static int log_write(const struct service *service, struct audit_event *event) {
    struct audit audit = AUDIT_NULL;
    int r = audit_open(&audit, AUDIT_SOCKET, SOCK_NONBLOCK);

    event->user = service->subject.known_name;
    event->uid = service->subject.uid;
    event->mode = "service";
    if (r == 0)
        r = audit_write(&audit, event);
    base_close_fd(&audit.fd);
    if (r < 0)
        (void)fprintf(stderr, "utsbroker: the log does not take a line: %s\n", strerror(-r));
    return r;
}

/* A command has ended with @wait_status (wait(2)). */
void service_log_end(const struct service *service, pid_t pid, int wait_status) {
    struct audit_event event = {.kind = AUDIT_END, .pid = pid, .wait_status = wait_status};

    (void)log_write(service, &event);
}

/*
 * The policy has been read. An error in it is in the log once, and not with each request that is
 * refused for it: as soon as the log takes it, since a policy with an error is read again and
 * again.
 */
void service_log_policy(struct service *service) {
    const struct policy_snapshot *snapshot = &service->snapshot;
    struct audit_event event = {.kind = AUDIT_POLICY, .reason = snapshot->reason};

    if (snapshot->status == PROTOCOL_POLICY_INVALID &&
        strcmp(service->policy_error, snapshot->reason) != 0 && log_write(service, &event) < 0)
        return;
    memcpy(service->policy_error, snapshot->reason, sizeof(service->policy_error));
}
