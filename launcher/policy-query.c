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

#include "utsbroker/clock.h"
#include "launcher/message.h"
#include "launcher/mode.h"
#include "launcher/program.h"
#include "launcher/signals.h"
#include "utsbroker/base.h"

enum { ARGUMENTS_MAX = 12, ANSWER_TIMEOUT_MS = 2000 };

/* A command line of utspolicy. */
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

    /* execve(2) changes none of it: its type has no const for historical reasons. */
    (void)execve(UTSPOLICY_PATH, (char *const *)(uintptr_t)words->all, environ);
    error = errno;
    message_failure(UTSPOLICY_PATH " could not be executed", error,
                    "install utspolicy in the same version as utsrun");
    _exit(EXIT_UTSRUN_FAILED);
}

/* Shows the rules that apply to the caller, in the order in which the broker tries them. */
_Noreturn void policy_query_list(void) {
    static const struct words words = {.all = {"utspolicy", "list", "--self"}};

    utspolicy_execute(&words);
}

/* Chooses as main.c does, but without a connection, which starts the service. */
static const char *mode_choose(const struct options *options) {
    char path[108];

    if (mode_is_direct(options))
        return "direct";
    (void)snprintf(path, sizeof(path), "%s/%u.sock", RUN_FOLDER, (unsigned)getuid());
    return options->mode == MODE_SERVICE || access(path, W_OK) == 0 ? "service" : "direct";
}

/* If the caller ignored SIGCHLD, the kernel reaps children before waitpid(2) sees them. */
static int children_keep(void) {
    return signal(SIGCHLD, SIG_DFL) == SIG_ERR ? -errno : 0;
}

/*
 * Says in one line whether the policy permits the names of @options, by which rule or why not.
 * Returns the exit status.
 */
int policy_query_check(const struct options *options) {
    struct words words = {.n = 0};
    int status = 0;
    pid_t pid;

    words_add(&words, "utspolicy", "explain");
    words_add(&words, "--self", "--brief");
    words_add(&words, "--via", mode_choose(options));
    words_add_names(&words, options);
    pid = children_keep() < 0 ? -1 : fork();
    if (pid == 0)
        utspolicy_execute(&words);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        message_failure("utspolicy could not be started", errno, "try again");
        return EXIT_UTSRUN_FAILED;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : EXIT_UTSRUN_FAILED;
}

/* Drops the errors of utspolicy: the user has not asked for them. */
static _Noreturn void question_execute(const struct words *words, int output,
                                       const sigset_t *mask) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    output =
        fcntl(output, F_DUPFD_CLOEXEC, 3); /* 0, 1 and 2 may be closed, and the pipe one of them */
    null = fcntl(null, F_DUPFD_CLOEXEC, 3);
    if (output < 0 || null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(null, 2) < 0 ||
        signals_set_mask(mask, NULL) < 0)
        _exit(1);
    utspolicy_execute(words);
}

/* Reads a line without its end. False if no line arrives in time, or it does not fit. */
static bool line_read(int fd, char *text, size_t size) {
    const int64_t until = clock_now_ms() + ANSWER_TIMEOUT_MS;
    size_t length = 0;

    while (length < size) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int64_t left = until - clock_now_ms();
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
 * Writes to @text the line that utspolicy prints for @words. @mask is the caller's signal mask.
 * False if there is none, or utspolicy does not answer within two seconds.
 */
static bool utspolicy_ask(const struct words *words, const sigset_t *mask, char *text,
                          size_t size) {
    bool has_line;
    int ends[2];
    pid_t pid;

    if (children_keep() < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return false;
    pid = fork();
    if (pid == 0)
        question_execute(words, ends[1], mask);
    (void)close(ends[1]);
    has_line = pid > 0 && line_read(ends[0], text, size);
    (void)close(ends[0]);
    if (pid > 0) {
        /* It has answered or takes too long. It is not reaped yet, so the pid is not reused. */
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    return has_line;
}

/*
 * Writes to @text the permitted patterns that are nearest to the names of @options. @mask is the
 * caller's signal mask. Returns 0, or -ENOENT if there are none, or utspolicy does not answer
 * within two seconds.
 */
int policy_query_find_nearest(const struct options *options, const sigset_t *mask, char *text,
                              size_t size) {
    struct words words = {.n = 0};

    words_add(&words, "utspolicy", "explain");
    words_add(&words, "--self", "--nearest");
    words_add_names(&words, options);
    return utspolicy_ask(&words, mask, text, size) ? 0 : -ENOENT;
}

/* True if utspolicy says that the policy permits the names of @options to this process's groups. */
bool policy_query_is_permitted(const struct options *options, const sigset_t *mask) {
    static const char permitted[] = "permitted:";
    struct words words = {.n = 0};
    char line[1024];

    words_add(&words, "utspolicy", "explain");
    words_add(&words, "--self", "--brief");
    words_add_names(&words, options);
    return utspolicy_ask(&words, mask, line, sizeof(line)) &&
           strncmp(line, permitted, sizeof(permitted) - 1) == 0;
}
