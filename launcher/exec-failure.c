#include "launcher/exec-failure.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "utsbroker/base.h"

static bool is_program(const char *path) {
    struct stat status;

    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* Writes the path of @command, looked for as execvpe(3) does. False if there is no such program. */
static bool program_find(char *path, size_t size, const char *command) {
    const char *folders = getenv("PATH");

    if (strchr(command, '/') != NULL) {
        (void)snprintf(path, size, "%s", command);
        return is_program(path);
    }
    for (const char *end; folders != NULL; folders = *end != '\0' ? end + 1 : NULL) {
        end = strchrnul(folders, ':');
        (void)snprintf(path, size, "%.*s%s%s", (int)(end - folders), folders,
                       end > folders ? "/" : "", command); /* an empty one is the current folder */
        if (is_program(path))
            return true;
    }
    return false;
}

/* Reads what the kernel looks at: the first 256 bytes. Returns their number, or -1. */
static ssize_t begin_read(const char *path, char *bytes, size_t size) {
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, bytes, size - 1) : -1;

    if (n >= 0)
        bytes[n] = '\0';
    return n;
}

/* Says what is wrong with @line, which begins with #! and is the first one of the script @path. */
static void script_describe(char *text, size_t size, const char *path, char *line) {
    char *interpreter = line + 2 + strspn(line + 2, " \t"), *end;

    line[strcspn(line, "\n")] = '\0';
    end = interpreter + strlen(interpreter);
    if (end > interpreter && end[-1] == '\r') {
        (void)snprintf(text, size,
                       "the #! line of %s ends in CR LF, as on Windows; run: sed -i 's/\\r$//' %s",
                       path, path);
        return;
    }
    interpreter[strcspn(interpreter, " \t")] = '\0';
    (void)snprintf(text, size, "its interpreter %s (in the #! line of %s) %s", interpreter, path,
                   access(interpreter, F_OK) == 0
                       ? "cannot start; try to execute that"
                       : "does not exist; install it, or change that line");
}

/*
 * After execve(2) of @command failed with ENOENT: the program may be there, but what it needs to
 * start is not. Writes what that is to @text, and what to do. False if there is no such program.
 */
bool exec_failure_describe(char *text, size_t size, const char *command) {
    char path[PATH_MAX], begin[256 + 1];
    ssize_t n =
        program_find(path, sizeof(path), command) ? begin_read(path, begin, sizeof(begin)) : -1;

    if (n < 0)
        return false;
    if (n >= 2 && begin[0] == '#' && begin[1] == '!')
        script_describe(text, size, path, begin);
    else
        (void)snprintf(text, size,
                       "%s is there, but the loader that it names does not exist; install it (what "
                       "it needs: file %s)",
                       path, path);
    return true;
}
