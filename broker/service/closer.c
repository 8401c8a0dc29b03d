#include "broker/service/closer.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/service/setup.h"
#include "utsbroker/base.h"

enum {
    HOLDERS_FREE = 4, /* so many are made for one connection each, */
    BATCH_MIN = 64,   /* the next one for so many, then for twice as many */
    BATCH_SHIFT_MAX = 16,
    LIMIT_SHARE = 4, /* of the descriptors of the service, a quarter may wait */
};

struct holder {
    struct closer *closer;
    struct child process;
};

static void closer_make_holder(struct closer *closer);

/*
 * True if a record waits on @connection that nobody has read. Shuts it down: none can be sent to it
 * any more. Reads no byte: with SO_PASSCRED each record, even an empty one, says who sent it.
 */
bool closer_has_unread(int connection) {
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr aligned;
    } control;
    struct msghdr message = {.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    const int on = 1;
    ssize_t n;

    if (shutdown(connection, SHUT_RDWR) < 0 ||
        setsockopt(connection, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
        return true;
    n = recvmsg(connection, &message, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0) /* an error that the peer's end left is reported once */
        n = recvmsg(connection, &message, MSG_PEEK | MSG_DONTWAIT);
    return n != 0 || message.msg_controllen != 0;
}

/* How many connections must wait for one more holder. */
static size_t closer_batch(const struct closer *closer) {
    size_t shift = closer->n_holders - HOLDERS_FREE, n;

    if (closer->n_holders < HOLDERS_FREE)
        return 1;
    n = (size_t)BATCH_MIN << (shift < BATCH_SHIFT_MAX ? shift : BATCH_SHIFT_MAX);
    return n < closer->n_max ? n : closer->n_max;
}

static void closer_work(struct closer *closer) {
    if (closer->n > 0 && closer->n >= closer_batch(closer))
        closer_make_holder(closer);
}

static void holder_handle_end(void *argument, int stop_signal) {
    struct holder *holder = argument;
    struct closer *closer = holder->closer;

    if (stop_signal != 0)
        return;
    free(holder);
    closer->n_holders--;
    closer_work(closer);
}

static int fd_compare(const void *a, const void *b) {
    return *(const int *)a - *(const int *)b;
}

/* Forks a process that has the connections that wait, and no other descriptor of the service, and
 * that stays stopped. Returns its pid; 0 if it could not be made, or was killed. */
static pid_t closer_fork(struct closer *closer) {
    pid_t pid;

    qsort(closer->fds, closer->n, sizeof(*closer->fds), fd_compare);
    pid = fork();
    if (pid == 0) {
        if (setup_close_all_but(closer->fds, closer->n) < 0)
            _exit(1);
        for (;;)
            (void)raise(SIGSTOP);
    }
    return pid > 0 ? reaper_wait_for_stop(pid) : 0;
}

static void closer_make_holder(struct closer *closer) {
    struct holder *holder = calloc(1, sizeof(*holder));
    pid_t pid = holder != NULL ? closer_fork(closer) : 0;

    /* Without a holder this closes them for good, and blocks if one of them does: the user has used
     * up their own processes. What waits in a queue can be the pipe that somebody reads to its end.
     */
    while (closer->n > 0)
        base_close_fd(&closer->fds[--closer->n]);
    if (pid == 0) {
        free(holder);
        return;
    }
    (void)kill(pid, SIGKILL);
    holder->closer = closer;
    closer->n_holders++;
    /* Neither can miss its end: it is a child, and nobody has reaped it. */
    (void)reaper_add(closer->reaper, &holder->process, pid, holder_handle_end, holder);
    reaper_watch(&holder->process, holder_handle_end, holder);
}

/* Keeps @connection until there is a holder for it. Returns false if that cannot be. */
static bool closer_keep(struct closer *closer, int connection) {
    if (closer->n == closer->size) {
        size_t size = closer->size == 0 ? BATCH_MIN : closer->size * 2;
        int *fds = reallocarray(closer->fds, size, sizeof(*fds));

        if (fds == NULL)
            return false;
        closer->fds = fds;
        closer->size = size;
    }
    if (closer->n >= closer->n_max)
        return false;
    closer->fds[closer->n++] = connection;
    return true;
}

/*
 * Closes *@connectionp for good, now or later; the peer sees it closed at once. If no process can
 * be made, this can block: the user has used up their own processes.
 */
void closer_close(struct closer *closer, int *connectionp) {
    int connection = base_steal_fd(connectionp);

    if (closer_has_unread(connection) && closer_keep(closer, connection))
        closer_work(closer);
    else
        base_close_fd(&connection);
}

/* To be called when the limit of descriptors is as it will be. */
void closer_init(struct closer *closer, struct reaper *reaper) {
    struct rlimit limit = {.rlim_cur = 0};

    *closer = (struct closer){.reaper = reaper};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        closer->n_max = (size_t)limit.rlim_cur / LIMIT_SHARE;
}

/* Closes what still waits. */
void closer_flush(struct closer *closer) {
    if (closer->n > 0)
        closer_make_holder(closer);
}

void closer_deinit(struct closer *closer) {
    closer_flush(closer);
    free(closer->fds);
}
