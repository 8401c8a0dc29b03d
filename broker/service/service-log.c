#include "broker/service/service-log.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/audit.h"
#include "utsbroker/base.h"

/*
 * The log daemon is not waited for: the service has other clients, and no request can be refused
 * any more because this line is not written. Returns 0, also if there is no daemon, or a negative
 * errno, which is reported on standard error.
 */
static int log_write(const struct subject *subject, struct audit_event *event) {
    struct audit audit = AUDIT_NULL;
    int r = audit_open(&audit, AUDIT_SOCKET, SOCK_NONBLOCK);

    event->user = subject->known_name;
    event->uid = subject->uid;
    event->mode = "service";
    if (r == 0)
        r = audit_write(&audit, event);
    base_close_fd(&audit.fd);
    if (r < 0)
        (void)fprintf(stderr, "utsbroker: the log daemon did not take a line: %s\n", strerror(-r));
    return r;
}

/* The command @pid of @subject has ended with @wait_status (wait(2)). Returns 0 or a negative
 * errno. */
int service_log_end(const struct subject *subject, pid_t pid, int wait_status) {
    struct audit_event event = {.kind = AUDIT_END, .pid = pid, .wait_status = wait_status};

    return log_write(subject, &event);
}

/* The policy has an error, so all requests of @subject are refused. Returns 0 or a negative errno.
 */
int service_log_policy_error(const struct subject *subject, const char *error) {
    struct audit_event event = {.kind = AUDIT_POLICY, .reason = error};

    return log_write(subject, &event);
}
