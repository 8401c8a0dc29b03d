#include "broker/service/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/privilege.h"
#include "broker/service/setup.h"
#include "utsbroker/base.h"

enum {
    CHECK_MS = 5000, /* how long the new program may take to read what it is told */
    HELD_MS = 5,     /* a child that has ended and cannot be waited for is tried again after this */
    HELD_TRIES = 100,
    CHECKED = 73, /* in each version: can go on. A program that accepts anything ends with 0 */
};

/*
 * Opens the file that is installed as this program now. Only root may have put it there. It is
 * opened once: what is checked is what is executed.
 */
static int program_open(int *fdp) {
    CLEANUP_FD int fd = open(BROKER_INSTALLED, O_PATH | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode) || status.st_uid != 0 || (status.st_mode & 022) != 0)
        return -EPERM;
    *fdp = base_steal_fd(&fd);
    return 0;
}

static void program_execute(int program, const char *option, int memfd) {
    char name[] = "utsbroker", word[32], number[16];
    char *argv[] = {name, word, number, NULL}, *environment[] = {NULL};

    (void)snprintf(word, sizeof(word), "%s", option);
    (void)snprintf(number, sizeof(number), "%d", memfd);
    (void)syscall(SYS_execveat, program, "", argv, environment, AT_EMPTY_PATH);
}

/*
 * Waits for the child @pid, and kills it if it takes too long. It may not end at once then, or a
 * tracer may hold it: after a moment it is the reaper's, as any child that that does not know.
 * Returns 0 if it has ended with CHECKED; -EPROTO if with another status; -EAGAIN if that is not
 * known.
 */
static int check_wait(pid_t pid) {
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    int status = SIGKILL;

    if (end.fd < 0 || poll(&end, 1, CHECK_MS) != 1)
        (void)kill(pid, SIGKILL);
    base_close_fd(&end.fd);
    for (int i = 0; i < HELD_TRIES && waitpid(pid, &status, WNOHANG) == 0; i++)
        (void)poll(NULL, 0, HELD_MS);
    return !WIFEXITED(status) ? -EAGAIN : WEXITSTATUS(status) == CHECKED ? 0 : -EPROTO;
}

/*
 * Has the new program read @memfd in a child, which it executes as it will be executed: with the
 * capability. The child has no other descriptor, and the service manager's log neither. Returns 0;
 * -EPROTO if the program cannot go on; another negative errno, -EAGAIN if that is not known.
 */
static int program_check(int program, int memfd) {
    const int kept[] = {program < memfd ? program : memfd, program < memfd ? memfd : program};
    pid_t pid = fork();

    if (pid == 0) {
        if (setup_close_all_but(kept, 2) == 0 && dup2(1, 2) == 2 && fcntl(memfd, F_SETFD, 0) == 0 &&
            privilege_pass_on() == 0)
            program_execute(program, "--check-resume", memfd);
        _exit(1);
    }
    return pid < 0 ? -errno : check_wait(pid);
}

/* In that child: ends with CHECKED if this program can go on with what @memfd says. It gives away
 * its capability before it reads that, and nobody can attach to it. */
_Noreturn void reload_check(int memfd) {
    CLEANUP_HANDOVER struct handover handover = HANDOVER_NULL;
    bool can_go_on = privilege_keep_sys_admin() == 0 && privilege_forbid_attach() == 0 &&
                     privilege_drop_all() == 0 && handover_read(&handover, memfd) == 0;

    exit(can_go_on ? CHECKED : 1);
}

static int fd_pass_on(int fd, bool is_passed_on) {
    return fd < 0 || fcntl(fd, F_SETFD, is_passed_on ? 0 : FD_CLOEXEC) == 0 ? 0 : -errno;
}

/* Decides whether the descriptors that @handover names stay open over execve(2). */
static int descriptors_pass_on(const struct handover *handover, int memfd, bool are_passed_on) {
    int r = fd_pass_on(memfd, are_passed_on);

    if (r == 0)
        r = fd_pass_on(handover->listener, are_passed_on);
    for (size_t i = 0; i < handover->n_links && r == 0; i++)
        r = fd_pass_on(handover->links[i], are_passed_on);
    for (size_t i = 0; i < handover->n_clients && r == 0; i++) {
        r = fd_pass_on(handover->clients[i].connection, are_passed_on);
        if (r == 0)
            r = fd_pass_on(handover->clients[i].control, are_passed_on);
    }
    return r;
}

/*
 * Executes the installed program in the place of this one, with @handover. Returns only if that is
 * not possible: a negative errno, with *@whatp the step, and nothing has changed.
 */
int reload_execute(const struct handover *handover, const char **whatp) {
    CLEANUP_FD int program = -1, memfd = -1;
    int r, back;

    *whatp = BROKER_INSTALLED " is no program of root's that can be opened";
    r = program_open(&program);
    if (r < 0)
        return r;
    *whatp = "what is handed over could not be written";
    r = handover_write(handover, &memfd);
    if (r < 0)
        return r;
    *whatp = BROKER_INSTALLED " cannot be executed, or does not understand what is handed over";
    r = program_check(program, memfd);
    if (r < 0)
        return r;
    r = descriptors_pass_on(handover, memfd, true);
    if (r == 0)
        r = privilege_pass_on();
    if (r == 0) {
        program_execute(program, "--resume", memfd);
        r = -errno;
    }
    back = privilege_keep_sys_admin();
    if (back != 0) {
        (void)fputs("utsbroker: CAP_SYS_ADMIN stays inheritable; the service ends\n", stderr);
        _Exit(1);
    }
    back = descriptors_pass_on(handover, memfd, false);
    return back < 0 ? back : r;
}

/*
 * In the new program: reads what the one before has handed over by @memfd, which is closed, and
 * makes the descriptors close-on-exec again. Returns 0 or a negative errno.
 */
int reload_resume(struct handover *handover, int memfd) {
    int r = handover_read(handover, memfd);

    if (r == 0)
        r = descriptors_pass_on(handover, -1, false);
    (void)close(memfd);
    return r;
}

/*
 * The new program cannot go on, although it could read what it was told when it was asked; a
 * message has said why. It serves nobody, but the commands are its children: it waits for them, and
 * the service manager then starts it again. Launchers learn at once that they hear nothing of it.
 */
_Noreturn void reload_wait_for_children(void) {
    static const int harmless[] = {SIGHUP, SIGQUIT, SIGPIPE}; /* which may be pending */
    sigset_t none;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(harmless); i++)
        (void)signal(harmless[i], SIG_IGN);
    (void)fputs("utsbroker: reload: no request is served until the commands have ended\n", stderr);
    (void)setup_close_all_but(NULL, 0);
    (void)sigemptyset(&none);
    if (privilege_drop_all() < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        exit(1);
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    exit(1);
}
