/*
 * Runs in the session, before and behind its seccomp filter, as the user. Needs no privilege.
 *
 * It does not use syslog(3). That allocates memory, reads the time zone's file and may connect
 * again, and which system calls it makes differs between C libraries; the session's filter permits
 * none of them. Of the protocol (RFC 3164) it needs one record, "<priority>tag[pid]: text", to
 * which the daemon adds the time.
 */

#include "broker/session/syslog.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "utsbroker/base.h"
#include "utsbroker/channel.h"

/* Returns a connected socket, or a negative errno. */
static int syslog_connect(const char *path, int type) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 2};
    CLEANUP_FD int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    /* A log daemon that hangs must not delay a launch for ever. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return base_steal_fd(&fd);
}

/* True if there is no daemon, or it has ended. A user cannot cause either. */
static bool is_daemon_absent(int error) {
    return error == -ENOENT || error == -ECONNREFUSED;
}

/*
 * Connects to the log daemon's socket at @path. Must be called before filter_load(). If there is no
 * daemon, syslog_write() does nothing.
 *
 * Returns 0, or a negative errno for any other failure, such as -EMFILE. A user could cause such a
 * failure to keep grants out of the log, so the caller must refuse.
 */
int syslog_open(struct syslog_link *syslog, const char *path) {
    *syslog = (struct syslog_link){.pid = getpid(), .fd = syslog_connect(path, SOCK_DGRAM)};
    if (syslog->fd == -EPROTOTYPE) {
        syslog->fd = syslog_connect(path, SOCK_STREAM);
        syslog->is_stream = true;
    }
    return syslog->fd >= 0 || is_daemon_absent(syslog->fd) ? 0 : syslog->fd;
}

/*
 * Sends @line to the log, by one sendmsg(2). Allocates nothing. Returns 0 if the daemon has the
 * line or there is no daemon; a negative errno: -EAGAIN if the daemon did not take it within two
 * seconds, -ECONNREFUSED or -EPIPE if the daemon has ended since syslog_open().
 */
int syslog_write(const struct syslog_link *syslog, const struct log_line *line) {
    char record[LOG_LINE_SIZE + 64];
    size_t length;
    int n;

    if (syslog->fd < 0)
        return 0;
    n = snprintf(record, sizeof(record), "<%d>utsbroker[%d]: ", log_line_priority(line->kind),
                 (int)syslog->pid);
    if (n < 0)
        return -EINVAL;
    length = (size_t)n;
    length += log_line_format(record + length, sizeof(record) - length, line);
    /* On a stream the NUL ends the record. */
    return channel_send(syslog->fd, record, length + (syslog->is_stream ? 1 : 0), NULL, 0);
}
