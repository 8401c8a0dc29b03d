#include "launcher/rsh-background.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/message.h"
#include "launcher/program.h"

/*
 * Goes to the background: returns in a child. This process ends with 0 when the child says that the
 * command runs, by the line of --status-fd, or as the child does if that ends before. Returns
 * 0, or the exit status after a failure, which was printed.
 */
int rsh_background_enter(struct options *options) {
    int ends[2], status = 0, writer;
    char first;
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) < 0 || (writer = fcntl(ends[1], F_DUPFD_CLOEXEC, 3)) < 0 ||
        (child = fork()) < 0) {
        message_failure("utsrsh cannot go to the background", errno, "try again, or without -f");
        return program.status_failed;
    }
    (void)close(ends[1]);
    if (child == 0) {
        (void)close(ends[0]);
        (void)setsid();
        options->status_fd = writer;
        options->is_background = true;
        options->parent = 0;
        return 0;
    }
    (void)close(writer);
    if (read(ends[0], &first, 1) == 1)
        _exit(0);
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
        _exit(program.status_failed);
    _exit(WEXITSTATUS(status));
}
