#include "policy/stable-read.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

/*
 * The kernel sets a file's times to its last tick (every 4 or 10 ms). So a file that changed within
 * this tick can change again and keep its times. Not detected: a write(2) of several pages that the
 * scheduler interrupts for longer than this looks like a complete file.
 */
enum { SETTLED_NANOSECONDS = 20 * 1000 * 1000, SETTLING_ROUNDS = 4 };

/*
 * If the clock was set back, the last change lies in the future, and any other change is visible.
 */
static bool is_settled(const struct stat *status) {
    struct timespec now;
    time_t seconds;

    if (clock_gettime(CLOCK_REALTIME, &now) < 0)
        return false;
    seconds = now.tv_sec - status->st_ctim.tv_sec;
    return seconds < 0 || seconds > 1 ||
           seconds * 1000000000LL + now.tv_nsec - status->st_ctim.tv_nsec > SETTLED_NANOSECONDS;
}

/* True if both are of the same file or folder, unchanged as far as its size and times show. */
bool stable_read_is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/*
 * Waits until nobody has changed the open file or folder @fd for 20 ms, so that each later change
 * is visible. Returns 0 with its *@statusp; -EAGAIN if it still changes after 4 rounds (*@statusp
 * is written then, too); another negative errno.
 */
int stable_read_settle(int fd, struct stat *statusp) {
    const struct timespec pause = {.tv_nsec = SETTLED_NANOSECONDS};

    for (int i = 0; i < SETTLING_ROUNDS; i++) {
        if (fstat(fd, statusp) < 0)
            return -errno;
        if (is_settled(statusp))
            return 0;
        (void)nanosleep(&pause, NULL);
    }
    return -EAGAIN;
}

/*
 * Compares the file or folder at @path, relative to the open @folder, with @status, which
 * stable_read_settle() returned. @flags are those of fstatat(2): with AT_EMPTY_PATH it is @folder
 * itself, with AT_SYMLINK_NOFOLLOW a link itself. Returns 0 if it is the same and unchanged,
 * -EAGAIN if not, another negative errno.
 */
int stable_read_check_unchanged(int folder, const char *path, int flags,
                                const struct stat *status) {
    struct stat now;

    if (fstatat(folder, path, &now, flags) < 0)
        return errno == ENOENT ? -EAGAIN : -errno;
    return stable_read_is_same(status, &now) ? 0 : -EAGAIN;
}

/* Reads exactly @size bytes. Returns 0, -EIO if there are fewer, or a negative errno. */
static int read_all(int fd, char *text, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, text + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}

/*
 * Reads the whole open file @fd into @text, which has room for the size in @status, the result of
 * stable_read_settle(). Returns 0; -EAGAIN if the file has changed or was truncated since then;
 * another negative errno.
 */
int stable_read_text(int fd, const struct stat *status, char *text) {
    int r = read_all(fd, text, (size_t)status->st_size);
    int changed = stable_read_check_unchanged(fd, "", AT_EMPTY_PATH, status);

    return changed < 0 ? changed : r; /* a truncated file has changed, too */
}
