#include "policy/stable-read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

/*
 * A file's times are those of the kernel's last tick (4 ms, or 10), so what changed just now can
 * change again and look the same. A write(2) of several pages that the scheduler stops in the
 * middle for longer cannot be told from a file that is like that.
 */
enum { SETTLED_NANOSECONDS = 20 * 1000 * 1000, SETTLING_ROUNDS = 4 };

/* If a clock was set back, the last change is in a time to come, and any other is seen. */
static bool is_settled(const struct stat *status) {
    struct timespec now;
    time_t seconds;

    if (clock_gettime(CLOCK_REALTIME, &now) < 0)
        return false;
    seconds = now.tv_sec - status->st_ctim.tv_sec;
    return seconds < 0 || seconds > 1 ||
           seconds * 1000000000LL + now.tv_nsec - status->st_ctim.tv_nsec > SETTLED_NANOSECONDS;
}

static bool is_same(const struct stat *before, const struct stat *after) {
    return before->st_dev == after->st_dev && before->st_ino == after->st_ino &&
           before->st_size == after->st_size && before->st_mtim.tv_sec == after->st_mtim.tv_sec &&
           before->st_mtim.tv_nsec == after->st_mtim.tv_nsec &&
           before->st_ctim.tv_sec == after->st_ctim.tv_sec &&
           before->st_ctim.tv_nsec == after->st_ctim.tv_nsec;
}

/*
 * Waits until the open file or folder @fd has been left alone for a moment, so that whatever
 * changes it from then on can be seen. Returns 0 with its *@statusp; -EAGAIN if it is not for so
 * long; another negative errno.
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
 * Returns 0 if the file or folder at @path, seen from the open @folder, is the one of @status,
 * which stable_read_settle() gave, and as it was then; -EAGAIN; another negative errno. With
 * AT_EMPTY_PATH it is
 * @folder itself, with AT_SYMLINK_NOFOLLOW the link (fstatat(2)).
 */
int stable_read_check_unchanged(int folder, const char *path, int flags,
                                const struct stat *status) {
    struct stat now;

    if (fstatat(folder, path, &now, flags) < 0)
        return errno == ENOENT ? -EAGAIN : -errno;
    return is_same(status, &now) ? 0 : -EAGAIN;
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
 * Reads the whole of the open file @fd to @text, as long as it was at @status, which
 * stable_read_settle() gave. Returns 0; -EAGAIN if it has changed since, or was cut off; another
 * negative errno.
 */
int stable_read_text(int fd, const struct stat *status, char *text) {
    int r = read_all(fd, text, (size_t)status->st_size);
    int changed = stable_read_check_unchanged(fd, "", AT_EMPTY_PATH, status);

    return changed < 0 ? changed : r; /* one that was cut off has changed, too */
}
