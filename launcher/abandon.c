#include "launcher/abandon.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "utsbroker/base.h"
#include "utsbroker/clock.h"

enum { GRACE_MS = 2000 /* for a command that sees it by itself, and ends what it has started */ };

/* True if standard error can lose its reader. */
static bool has_reader(void) {
    struct stat st;

    return fstat(STDERR_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

/*
 * Begins to watch the process @parent, which was this process's parent when it started; 0: nobody.
 * Needs a descriptor, and without one watches nothing. abandon_check() closes it.
 */
void abandon_begin(struct abandon *abandon, pid_t parent) {
    *abandon = (struct abandon)ABANDON_NULL;
    if (parent == 0 || !has_reader())
        return;
    abandon->fd = (int)syscall(SYS_pidfd_open, parent, 0);
    /* The number may be another process's by now, but a child of that this process is not. */
    if (getppid() == parent)
        return;
    base_close_fd(&abandon->fd);
    abandon->fd = STDERR_FILENO;
    abandon->has_parent_ended = true;
}

/* What poll(2) is to wait for; abandon_check() reads the answer. */
struct pollfd abandon_prepare_poll(const struct abandon *abandon) {
    /* The end of a reader is always reported. */
    return (struct pollfd){.fd = abandon->fd, .events = abandon->has_parent_ended ? 0 : POLLIN};
}

/* For how many milliseconds poll(2) may wait; -1: for ever. */
int abandon_timeout(const struct abandon *abandon) {
    int64_t now = clock_now_ms();

    if (abandon->due_ms == 0)
        return -1;
    return abandon->due_ms > now ? (int)(abandon->due_ms - now) : 0;
}

/* True if nobody needs this process any more. @events are the answer of poll(2). */
bool abandon_check(struct abandon *abandon, short events) {
    if (abandon->due_ms != 0)
        return clock_now_ms() >= abandon->due_ms;
    if (events == 0)
        return false;
    if (abandon->has_parent_ended) {
        abandon->fd = -1;
        abandon->due_ms = clock_now_ms() + GRACE_MS;
        return false;
    }
    base_close_fd(&abandon->fd);
    abandon->fd = STDERR_FILENO;
    abandon->has_parent_ended = true;
    return false;
}
