#include "launcher/policy-query.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "launcher/message.h"
#include "launcher/signals.h"
#include "utsbroker/base.h"

enum { ARGUMENTS_MAX = 12, NEAREST_PATIENCE_MS = 2000 };

/* The words of a command line of utspolicy; what they point to is not changed. */
struct words {
    const char *all[ARGUMENTS_MAX];
    size_t n;
};

static void words_add(struct words *words, const char *first, const char *second) {
    words->all[words->n++] = first;
    if (second != NULL)
        words->all[words->n++] = second;
}

static void words_add_names(struct words *words, const struct options *options) {
    if (options->hostname != NULL)
        words_add(words, "-n", options->hostname);
    if (options->domainname != NULL)
        words_add(words, "-d", options->domainname);
}

static _Noreturn void utspolicy_execute(const struct words *words) {
    int error;

    /* Not const by custom only (execve(2)). */
    (void)execve(UTSPOLICY_PATH, (char *const *)(uintptr_t)words->all, environ);
    error = errno;
    message(UTSPOLICY_PATH " could not be executed: %s; is it of the same installation?",
            strerror(error));
    _exit(EXIT_UTSRUN_FAILED);
}

/* Shows the rules that are for the caller, in the order in which they are tried. */
_Noreturn void policy_list(void) {
    static const struct words words = {.all = {"utspolicy", "list", "--self"}};

    utspolicy_execute(&words);
}

/* As utsrun would choose; not by a connection, which would start the service. */
static const char *way_choose(const struct options *options) {
    char path[108];

    if (options->via == VIA_DIRECT || (options->via == VIA_AUTO && getuid() == 0))
        return "direct";
    (void)snprintf(path, sizeof(path), "%s/%u.sock", RUN_FOLDER, (unsigned)getuid());
    return options->via == VIA_SERVICE || access(path, W_OK) == 0 ? "service" : "direct";
}

/* A caller that ignores its children has them reaped by the kernel, before anybody asks. */
static int children_watch(void) {
    return signal(SIGCHLD, SIG_DFL) == SIG_ERR ? -errno : 0;
}

/*
 * Says in one line whether the names of @options would be given, by which rule or why not. Returns
 * the exit status for it.
 */
int policy_check(const struct options *options) {
    struct words words = {.n = 0};
    int status = 0;
    pid_t pid;

    words_add(&words, "utspolicy", "explain");
    words_add(&words, "--self", "--brief");
    words_add(&words, "--via", way_choose(options));
    words_add_names(&words, options);
    pid = children_watch() < 0 ? -1 : fork();
    if (pid == 0)
        utspolicy_execute(&words);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        message("utspolicy could not be started: %s", strerror(errno));
        return EXIT_UTSRUN_FAILED;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : EXIT_UTSRUN_FAILED;
}

/* Only its answer counts: what it has to complain of, the caller has not asked for. */
static _Noreturn void be_nearest(const struct words *words, int output, const sigset_t *mask) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    output = fcntl(output, F_DUPFD_CLOEXEC, 3); /* 0, 1 and 2 may be closed, and it one of them */
    null = fcntl(null, F_DUPFD_CLOEXEC, 3);
    if (output < 0 || null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(null, 2) < 0 ||
        signals_set_mask(mask, NULL) < 0)
        _exit(1);
    utspolicy_execute(words);
}

static int64_t now_ms(void) {
    struct timespec now = {.tv_sec = 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads a line to @text, without its end. False if none comes in time, or it does not fit. */
static bool line_read(int fd, char *text, size_t size) {
    const int64_t until = now_ms() + NEAREST_PATIENCE_MS;
    size_t length = 0;

    while (length < size) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int64_t left = until - now_ms();
        ssize_t n;

        if (left <= 0 || (poll(&ready, 1, (int)left) != 1 && errno != EINTR))
            return false;
        if (ready.revents == 0)
            continue;
        n = read(fd, text + length, size - length);
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    if (length == 0 || text[length - 1] != '\n')
        return false;
    text[length - 1] = '\0';
    return true;
}

/*
 * Puts into @text the patterns that the caller may use and that come nearest to the names of
 * @options. @mask is the caller's signal mask. Returns 0, or -ENOENT if there are none, or nobody
 * says so within two seconds.
 */
int policy_find_nearest(const struct options *options, const sigset_t *mask, char *text,
                        size_t size) {
    struct words words = {.n = 0};
    bool is_there;
    int ends[2];
    pid_t pid;

    words_add(&words, "utspolicy", "explain");
    words_add(&words, "--self", "--nearest");
    words_add_names(&words, options);
    if (children_watch() < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return -ENOENT;
    pid = fork();
    if (pid == 0)
        be_nearest(&words, ends[1], mask);
    (void)close(ends[1]);
    is_there = pid > 0 && line_read(ends[0], text, size);
    (void)close(ends[0]);
    if (pid > 0) {
        /* It has said all, or takes too long. Not reaped yet, so the pid is its own. */
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    return is_there ? 0 : -ENOENT;
}
