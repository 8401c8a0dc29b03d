#include "broker/ledger/book.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "utsbroker/base.h"

enum { TIME_SIZE = 40, SYSLOG_PREFIX_SIZE = 64, SYSLOG_PAUSE_SECONDS = 1 };

static int file_open(const char *path) {
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);

    return fd < 0 ? -errno : fd;
}

/* Opens the log at @path, which must live as long as @book. Returns 0 or a negative errno. */
int book_open(struct book *book, const char *path) {
    tzset(); /* else the first gmtime_r(3) of glibc reads files, which the filter does not allow */
    *book = (struct book){.path = path, .fd = file_open(path), .syslog = -1};
    return book->fd < 0 ? book->fd : 0;
}

/*
 * Opens the file anew: logrotate(8) has renamed it. If that fails, the old one is written to.
 * Returns 0 or a negative errno.
 */
int book_reopen(struct book *book) {
    int fd = file_open(book->path);

    if (fd < 0)
        return fd;
    (void)close(book->fd);
    book->fd = fd;
    return 0;
}

/* Writes the time, as RFC 3339 has it, in UTC: it is never ambiguous. Returns its length. */
static size_t time_format(char *text, size_t size) {
    struct timespec now = {.tv_sec = 0};
    struct tm utc;
    size_t length = 0;

    if (clock_gettime(CLOCK_REALTIME, &now) == 0 && gmtime_r(&now.tv_sec, &utc) != NULL)
        length = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &utc);
    return length +
           (size_t)snprintf(text + length, size - length, ".%03ldZ ", now.tv_nsec / 1000000);
}

/* Takes back the part of a line, of @length bytes, that a full disk took: a line is there whole, or
 * not at all. Returns 0 or a negative errno: then the part stays, and the next line follows it. */
static int line_take_back(int fd, off_t length) {
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    return ftruncate(fd, status.st_size - length) < 0 ? -errno : 0;
}

/*
 * Writes @line to the file. Returns 0; a negative errno, such as -ENOSPC: then nothing of it is
 * there, and the next line says how many were missed.
 */
int book_write(struct book *book, const struct log_line *line) {
    char text[TIME_SIZE + LOG_LINE_SIZE];
    struct log_line counted = *line;
    size_t length = time_format(text, TIME_SIZE);
    ssize_t n;

    counted.n_missed = book->n_not_written;
    length += log_line_format(text + length, sizeof(text) - length - 1, &counted);
    text[length++] = '\n';
    n = write(book->fd, text, length);
    if (n == (ssize_t)length) {
        book->n_not_written = 0;
        return 0;
    }
    if (line->kind != LEDGER_END) /* which is tried again */
        book->n_not_written++;
    if (n < 0)
        return -errno;
    (void)line_take_back(book->fd, n);
    return -ENOSPC;
}

/* Tries at most once a second: where there is no daemon each line would cost three system calls. */
static bool syslog_connect(struct book *book) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = BOOK_SYSLOG_SOCKET};
    time_t now;

    if (book->syslog >= 0)
        return true;
    now = time(NULL);
    if (now - book->syslog_tried >= 0 && now - book->syslog_tried < SYSLOG_PAUSE_SECONDS)
        return false;
    book->syslog_tried = now;
    book->syslog = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (book->syslog >= 0 &&
        connect(book->syslog, (const struct sockaddr *)&address, sizeof(address)) < 0)
        base_close_fd(&book->syslog);
    return book->syslog >= 0;
}

/* Returns how long the copy of @line is. */
static size_t copy_format(char *text, size_t size, const struct book *book,
                          const struct log_line *line) {
    struct log_line counted = *line;
    size_t length =
        (size_t)snprintf(text, SYSLOG_PREFIX_SIZE,
                         "<%d>utsbroker[%d]: ", log_line_priority(line->kind), (int)getpid());

    counted.n_missed = book->n_not_sent;
    return length + log_line_format(text + length, size - length, &counted);
}

/*
 * Sends a copy of @line to syslog, without waiting. What the daemon does not take is counted, and
 * the next line says how many were missed.
 */
void book_copy(struct book *book, const struct log_line *line) {
    char text[SYSLOG_PREFIX_SIZE + LOG_LINE_SIZE];
    size_t length;
    ssize_t n = -1;

    if (!syslog_connect(book)) {
        book->n_not_sent++;
        return;
    }
    length = copy_format(text, sizeof(text), book, line);
    /* Twice: the daemon may have been restarted since the last line. */
    for (int i = 0; i < 2 && n < 0 && syslog_connect(book); i++) {
        n = send(book->syslog, text, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            base_close_fd(&book->syslog);
            book->syslog_tried = 0;
        }
    }
    book->n_not_sent = n < 0 ? book->n_not_sent + 1 : 0;
}
