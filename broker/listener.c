#include "broker/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "utsbroker/base.h"

enum { LOCK_TRIES = 500 };
enum { PASSED_FD = 3, BACKLOG = 4096 /* the kernel caps it at net.core.somaxconn */ };

/* The value of a variable that must be a decimal number and no more; -1: it is not. */
static long variable_number(const char *name) {
    const char *text = getenv(name);
    char *end = NULL;
    long number;

    if (text == NULL || text[0] < '0' || text[0] > '9')
        return -1;
    errno = 0;
    number = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' ? number : -1;
}

static bool option_is(int fd, int option, int wanted) {
    int value;
    socklen_t size = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

/*
 * Takes the one socket that the service manager passed (LISTEN_FDS and LISTEN_PID,
 * sd_listen_fds(3)), and notes where it wants to hear of readiness (NOTIFY_SOCKET). To be called
 * before clearenv(3). Returns 0, LISTENER_E_NONE, LISTENER_E_WRONG or a negative errno.
 */
int listener_take(struct listener *listener) {
    listener->notify_socket = getenv("NOTIFY_SOCKET");
    if (variable_number("LISTEN_PID") != getpid() || variable_number("LISTEN_FDS") < 1)
        return LISTENER_E_NONE;
    if (variable_number("LISTEN_FDS") != 1 || !option_is(PASSED_FD, SO_DOMAIN, AF_UNIX) ||
        !option_is(PASSED_FD, SO_TYPE, SOCK_SEQPACKET) || !option_is(PASSED_FD, SO_ACCEPTCONN, 1))
        return LISTENER_E_WRONG;
    if (fcntl(PASSED_FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(PASSED_FD, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    listener->fd = PASSED_FD;
    listener->is_managed = true;
    return 0;
}

/* Closes a socket that was passed and is not wanted; who wants to hear of readiness still hears. */
void listener_drop(struct listener *listener) {
    base_close_fd(&listener->fd);
    listener->is_managed = false;
}

/*
 * Returns 0 if a socket may be put at the address: nothing is there, or what a service that was
 * killed left behind, our own socket, at which nobody listens.
 */
static int address_check(const struct sockaddr_un *address) {
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat status;
    int error;

    if (fd < 0)
        return -errno;
    /* EAGAIN: one that listens and is too busy to answer (unix(7)). */
    error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
    if (error == 0 || error == EAGAIN)
        return LISTENER_E_IN_USE;
    if (lstat(address->sun_path, &status) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(status.st_mode) || status.st_uid != geteuid() || error != ECONNREFUSED)
        return -EADDRINUSE;
    return 0;
}

/* The file that a process holds locked while it binds at @path. The caller frees it. */
static char *lock_name(const char *path) {
    char *name;

    return asprintf(&name, "%s.lock", path) < 0 ? NULL : name;
}

/*
 * Waits until no other process binds at the same path, for five seconds, and keeps others waiting
 * until *@fdp is closed. Whoever was before us has removed the file that we may have waited for:
 * then it is no lock any more.
 */
static int lock_take(const char *name, int *fdp) {
    const struct timespec pause = {.tv_nsec = 10000000};
    int n_tries = 0;

    for (;;) {
        CLEANUP_FD int fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        struct stat ours, there;

        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &ours) < 0) {
            if (fd < 0 || errno != EWOULDBLOCK || ++n_tries > LOCK_TRIES)
                return -errno;
            (void)nanosleep(&pause, NULL);
            continue;
        }
        if (lstat(name, &there) < 0 || there.st_ino != ours.st_ino || there.st_dev != ours.st_dev)
            continue;
        *fdp = base_steal_fd(&fd);
        return 0;
    }
}

/* With the lock: what is at the address now, stays what it is until this process has bound there.
 */
static int bind_and_listen(int fd, const struct sockaddr_un *address) {
    int r = address_check(address);
    mode_t mask;

    if (r == 0 && unlink(address->sun_path) < 0 && errno != ENOENT)
        r = -errno;
    if (r != 0)
        return r;
    mask = umask(0177);
    r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
    (void)umask(mask);
    if (r == 0 && listen(fd, BACKLOG) < 0) {
        r = -errno;
        (void)unlink(address->sun_path);
    }
    return r;
}

/*
 * Binds a socket of mode 0600 at @path, which must live as long as @listener. Its folder must be
 * one in which nobody else can make, rename or remove. Returns 0, LISTENER_E_IN_USE or a negative
 * errno.
 */
int listener_bind(struct listener *listener, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_FREE char *lock = lock_name(path);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CLEANUP_FD int lock_fd = -1;
    size_t length = strlen(path);
    struct stat status;
    int r;

    if (fd < 0)
        return -errno;
    if (lock == NULL)
        return -ENOMEM;
    if (length == 0 || length >= sizeof(address.sun_path))
        return length == 0 ? -ENOENT : -ENAMETOOLONG;
    memcpy(address.sun_path, path, length);
    r = lock_take(lock, &lock_fd);
    if (r < 0)
        return r;
    r = bind_and_listen(fd, &address);
    (void)unlink(lock);
    if (r != 0)
        return r;
    listener->path = path;
    listener->fd = base_steal_fd(&fd);
    if (lstat(path, &status) == 0)
        listener->inode = status.st_ino;
    return 0;
}

/* Tells the service manager that the service is ready (sd_notify(3)); it may not want to know. */
void listener_tell_ready(const struct listener *listener) {
    static const char ready[] = "READY=1";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = listener->notify_socket != NULL ? strlen(listener->notify_socket) : 0;
    CLEANUP_FD int fd = -1;

    if (length < 2 || length >= sizeof(address.sun_path) ||
        (listener->notify_socket[0] != '/' && listener->notify_socket[0] != '@'))
        return;
    memcpy(address.sun_path, listener->notify_socket, length);
    if (address.sun_path[0] == '@') /* the abstract namespace, unix(7) */
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)sendto(fd, ready, strlen(ready), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
}

/* Closes the socket, and removes it if this process has bound it: not what is there instead. */
void listener_deinit(struct listener *listener) {
    struct stat status;

    if (listener->path != NULL && lstat(listener->path, &status) == 0 &&
        status.st_ino == listener->inode)
        (void)unlink(listener->path);
    base_close_fd(&listener->fd);
    *listener = (struct listener)LISTENER_NULL;
}
