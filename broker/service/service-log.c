#include "broker/service/service-log.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "utsbroker/base.h"

/*
 * Writes @event of @subject's service to the log. The log daemon is not waited for: the service has
 * other clients, and no request can be refused any more because this line is not written.
 *
 * Returns 0, also if there is no daemon; a negative errno, which was reported on standard error.
 */
int service_log_write(const struct subject *subject, struct audit_event *event) {
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
