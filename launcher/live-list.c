/*
 * The file may have entries of commands that have ended: a ledger that was stopped has not noticed.
 * So each process is looked at. One that cannot be looked at is shown: the file says that it lives.
 */

#include "launcher/live-list.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "launcher/live-format.h"
#include "launcher/message.h"
#include "launcher/program.h"
#include "utsbroker/base.h"
#include "utsbroker/live.h"
#include "utsbroker/monitor.h"

enum {
    LIST_E_OTHER_FORMAT = 1, /* the file is not of this version's ledger */
};

struct list {
    struct live_command *commands;
    size_t n, room;
    size_t damaged_line; /* the first that is none; 0: all are */
};

static void list_deinit(struct list *list) {
    free(list->commands);
}

#define CLEANUP_LIST __attribute__((cleanup(list_deinit)))

static int list_add(struct list *list, const struct live_command *command) {
    if (list->n == list->room) {
        size_t room = list->room == 0 ? 16 : list->room * 2;
        struct live_command *commands = reallocarray(list->commands, room, sizeof(*list->commands));

        if (commands == NULL)
            return -ENOMEM;
        list->commands = commands;
        list->room = room;
    }
    list->commands[list->n++] = *command;
    return 0;
}

/* Reads the beginning of the file @name of @pid in /proc. False: it is not there. */
static bool proc_read(pid_t pid, const char *name, char *text, size_t size) {
    char path[64];
    CLEANUP_FD int fd = -1;
    ssize_t n;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, text, size - 1) : -1;
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* Reads the start time of @pid (proc(5), /proc/PID/stat, field 22). False: it is not known. */
static bool start_time_read(pid_t pid, uint64_t *startp) {
    char text[1024], *at;

    if (!proc_read(pid, "stat", text, sizeof(text)))
        return false;
    at = strrchr(text, ')'); /* field 2, the name, may have blanks and parentheses itself */
    for (int field = 2; field < 22 && at != NULL; field++)
        at = strchr(at + 1, ' ');
    return at != NULL && sscanf(at, "%" SCNu64, startp) == 1;
}

static bool is_alive(const struct live_command *command) {
    CLEANUP_FD int pidfd = (int)syscall(SYS_pidfd_open, command->pid, 0);
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    struct stat status;
    uint64_t start;

    if (pidfd < 0 && errno == ESRCH)
        return false;
    if (pidfd >= 0 && poll(&end, 1, 0) == 1) /* it has ended, and is not reaped */
        return false;
    if (command->start_kind == 't')
        return !start_time_read(command->pid, &start) || start == command->start;
    return pidfd < 0 || fstat(pidfd, &status) < 0 || status.st_ino == command->start;
}

/* The ledger knows a command with a terminal by its monitor, whose one child it is. */
static pid_t command_find(pid_t pid) {
    char text[64], name[32];
    int child;

    (void)snprintf(name, sizeof(name), "task/%d/children", (int)pid);
    if (!proc_read(pid, "comm", text, sizeof(text)) || strcmp(text, MONITOR_NAME "\n") != 0 ||
        !proc_read(pid, name, text, sizeof(text)) || sscanf(text, "%d", &child) != 1)
        return pid;
    return child;
}

/* Reads what the file has now: what is added meanwhile is not waited for. */
static int list_read(struct list *list, FILE *file, off_t size, uid_t uid) {
    char line[LIVE_LINE_SIZE];
    struct live_command command;
    size_t length;
    int r = 0;

    if (fgets(line, sizeof(line), file) == NULL || strcmp(line, LIVE_HEADER) != 0)
        return LIST_E_OTHER_FORMAT;
    size -= (off_t)strlen(line);
    for (size_t n = 2; r == 0 && size > 0 && fgets(line, sizeof(line), file) != NULL; n++) {
        length = strlen(line);
        size -= (off_t)length;
        if (live_parse(line, &command)) {
            if (command.state == LIVE_RUNS && (uid == 0 || command.uid == uid) &&
                is_alive(&command)) {
                command.pid = command_find(command.pid);
                r = list_add(list, &command);
            }
        } else if ((line[0] == '\0' || line[length - 1] == '\n' || !feof(file)) &&
                   list->damaged_line == 0) {
            list->damaged_line = n; /* and not the last, which is being written */
        }
    }
    return r != 0 ? r : ferror(file) ? -EIO : 0;
}

static int list_open(struct list *list, const char *path, uid_t uid) {
    /* Nothing is waited for, whatever it is. */
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    FILE *file;
    int r;

    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return LIST_E_OTHER_FORMAT;
    file = fdopen(fd, "r");
    if (file == NULL)
        return -errno;
    (void)base_steal_fd(&fd);
    r = list_read(list, file, status.st_size, uid);
    (void)fclose(file);
    return r;
}

static int commands_compare(const void *a, const void *b) {
    const struct live_command *left = a, *right = b;

    if (left->since != right->since)
        return left->since < right->since ? -1 : 1;
    return (left->pid > right->pid) - (left->pid < right->pid);
}

static void failure_print(const char *path, int r) {
    char what[320];

    if (r == LIST_E_OTHER_FORMAT) {
        message("%s is no list of live commands of this version; install utsrun and "
                "utsbroker-ledger in the same version",
                path);
    } else if (r == -ENOENT) {
        message("no list of live commands: the ledger (utsbroker-ledger) does not run; ask your "
                "administrator to start it, see utsbroker-ledger(8)");
    } else {
        (void)snprintf(what, sizeof(what), "the list of live commands, %s, cannot be read", path);
        message_failure(what, -r, "ask your administrator");
    }
}

/*
 * Prints to @out the commands in the file @path that live: those of @uid, for root all. Returns the
 * exit status; has printed the error.
 */
int live_list_print(const char *path, uid_t uid, bool is_json, FILE *out) {
    CLEANUP_LIST struct list list = {.n = 0};
    int r = list_open(&list, path, uid);

    if (r != 0) {
        failure_print(path, r);
        return EXIT_UTSRUN_FAILED;
    }
    if (list.n > 0)
        qsort(list.commands, list.n, sizeof(*list.commands), commands_compare);
    if (is_json)
        live_format_json(list.commands, list.n, out);
    else
        live_format_table(list.commands, list.n, uid == 0, out);
    errno = 0;
    if (fflush(out) != 0 || ferror(out)) {
        message_failure("the list could not be written", errno != 0 ? errno : EIO,
                        "look at where standard output goes");
        return EXIT_UTSRUN_FAILED;
    }
    if (list.damaged_line == 0)
        return 0;
    message("line %zu of %s is damaged, so a command may be missing from the list; ask your "
            "administrator to restart utsbroker-ledger",
            list.damaged_line, path);
    return EXIT_UTSRUN_FAILED;
}
