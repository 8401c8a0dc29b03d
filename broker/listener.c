/*
 * The listening socket. Runs in the service, as the user. Nothing here needs a capability.
 */

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

/* The number in an environment variable; -1 if it is not set or not exactly a decimal number. */
static long read_number_variable(const char *name) {
    const char *text = getenv(name);
    char *end = NULL;
    long number;

    if (text == NULL || text[0] < '0' || text[0] > '9')
        return -1;
    errno = 0;
    number = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' ? number : -1;
}

/* True if the socket option has the value @wanted. */
static bool has_option(int fd, int option, int wanted) {
    int value;
    socklen_t size = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

/*
 * Takes the one socket that the service manager passed (LISTEN_FDS and LISTEN_PID,
 * sd_listen_fds(3)), and notes where the manager wants READY=1 (NOTIFY_SOCKET). Must be called
 * before clearenv(3). Returns 0, LISTENER_E_NONE, LISTENER_E_WRONG or a negative errno.
 */
int listener_take(struct listener *listener) {
    listener->notify_socket = getenv("NOTIFY_SOCKET");
    if (read_number_variable("LISTEN_PID") != getpid() || read_number_variable("LISTEN_FDS") < 1)
        return LISTENER_E_NONE;
    if (read_number_variable("LISTEN_FDS") != 1 || !has_option(PASSED_FD, SO_DOMAIN, AF_UNIX) ||
        !has_option(PASSED_FD, SO_TYPE, SOCK_SEQPACKET) || !has_option(PASSED_FD, SO_ACCEPTCONN, 1))
        return LISTENER_E_WRONG;
    if (fcntl(PASSED_FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(PASSED_FD, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    listener->fd = PASSED_FD;
    listener->is_managed = true;
    return 0;
}

/* Closes a passed socket that is not wanted. The service manager still gets READY=1. */
void listener_drop(struct listener *listener) {
    base_close_fd(&listener->fd);
    listener->is_managed = false;
}

/*
 * Returns 0 if this process may bind at the address: nothing is there, or the socket of a service
 * of this user that was killed, on which nothing listens any more.
 */
static int listener_check_address(const struct sockaddr_un *address) {
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat status;
    int error;

    if (fd < 0)
        return -errno;
    /* EAGAIN: another process listens, and its queue is full (unix(7)). */
    error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
    if (error == 0 || error == EAGAIN)
        return LISTENER_E_IN_USE;
    if (lstat(address->sun_path, &status) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(status.st_mode) || status.st_uid != geteuid() || error != ECONNREFUSED)
        return -EADDRINUSE;
    return 0;
}

/* Returns the name of the file that a process locks while it binds at @path. The caller frees it.
 */
static char *listener_make_lock_name(const char *path) {
    char *name;

    return asprintf(&name, "%s.lock", path) < 0 ? NULL : name;
}

/*
 * Takes the lock @name: waits up to five seconds until no other process binds at the same path. The
 * lock lasts until *@fdp is closed. The process before removes the file when it is done. Then what
 * was waited for is no lock any more, and it tries again.
 */
static int listener_take_lock(const char *name, int *fdp) {
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

/* Must be called with the lock: so what is at the address does not change before the bind(2). */
static int bind_and_listen(int fd, const struct sockaddr_un *address) {
    int r = listener_check_address(address);
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
 * Binds a socket of mode 0600 at @path, which must live as long as @listener, and listens on it. No
 * other user may be able to create, rename or remove files in its folder. Returns 0,
 * LISTENER_E_IN_USE or a negative errno.
 */
int listener_bind(struct listener *listener, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_FREE char *lock = listener_make_lock_name(path);
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
    r = listener_take_lock(lock, &lock_fd);
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

/* Sends READY=1 to the service manager, if it wants that (sd_notify(3)). */
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

/*
 * Closes the socket. Removes its file only if this process has bound it and no other file has
 * replaced it.
 */
void listener_deinit(struct listener *listener) {
    struct stat status;

    if (listener->path != NULL && lstat(listener->path, &status) == 0 &&
        status.st_ino == listener->inode)
        (void)unlink(listener->path);
    base_close_fd(&listener->fd);
    *listener = (struct listener)LISTENER_NULL;
}
