#include "broker/ledger/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/proc-file.h"
#include "utsbroker/base.h"
#include "utsbroker/compat.h"

/* struct pidfd_info of <linux/pidfd.h> in its first version (Linux 6.13). */
struct info {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid;
    uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
};
_Static_assert(sizeof(struct info) == 64, "PIDFD_INFO_SIZE_VER0");

enum {
    INFO_CREDENTIALS = 1U << 1, /* PIDFD_INFO_CREDS */
    INFO_EXIT = 1U << 3,        /* PIDFD_INFO_EXIT, Linux 6.15 */
    PIDFS_MAGIC = 0x50494446,   /* PID_FS_MAGIC */
};

#define INFO_REQUEST _IOWR(0xFF, 11, struct info) /* PIDFD_GET_INFO */

static bool has_pidfs; /* a pidfd has an inode of its own */
static bool has_info;  /* it tells the ids of its process */

/* True, with the wait status, if the kernel tells how the process ended, which has been reaped. */
bool identity_read_status(int pidfd, int *wait_statusp) {
    struct info info = {.mask = INFO_EXIT};

    if (ioctl(pidfd, INFO_REQUEST, &info) < 0 || (info.mask & INFO_EXIT) == 0)
        return false;
    *wait_statusp = info.exit_code;
    return true;
}

/* True if a pidfd tells the ids of its process (Linux 6.13). */
static bool tells_user(void) {
    struct info info = {.mask = INFO_CREDENTIALS};
    CLEANUP_FD int own = (int)syscall(SYS_pidfd_open, getpid(), 0);

    return own >= 0 && ioctl(own, INFO_REQUEST, &info) == 0 && (info.mask & INFO_CREDENTIALS) != 0;
}

/*
 * Finds out what this kernel tells: whether a pidfd has an inode of its own, and in *@tells_status
 * whether it tells how a process ended, by a child made for that. Must be called first. Returns 0;
 * IDENTITY_E_HIDDEN if neither pidfds nor /proc tell whose a process is; a negative errno.
 */
int identity_init(bool *tells_status) {
    const int exit_code = 7;
    CLEANUP_FD int pidfd = -1;
    struct statfs file_system;
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(exit_code);
    if (pid < 0)
        return -errno;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0 || fstatfs(pidfd, &file_system) < 0) {
        int error = errno;

        (void)waitpid(pid, NULL, 0);
        return -error;
    }
    has_pidfs = file_system.f_type == PIDFS_MAGIC;
    if (waitpid(pid, NULL, 0) < 0)
        return -errno;
    has_info = tells_user();
    if (!has_info && access("/proc/1/status", R_OK) < 0)
        return IDENTITY_E_HIDDEN;
    *tells_status = identity_read_status(pidfd, &status) && WIFEXITED(status) &&
                    WEXITSTATUS(status) == exit_code;
    return 0;
}

/* True if the process of @pidfd has ended, reaped or not. */
bool identity_has_ended(int pidfd) {
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};

    return poll(&ended, 1, 0) != 0;
}

/*
 * True if @fd is a pidfd. Asks the kernel only: fstat(2) or ioctl(2) would ask the file system of a
 * stranger's descriptor, which need not answer.
 */
static bool is_pidfd(int fd) {
    int flags = fcntl(fd, F_GETFL);
    siginfo_t info;

    /* PIDFD_THREAD is O_EXCL (pidfd_open(2)): it ends with its thread, not with the process. */
    if (flags < 0 || (flags & O_EXCL) != 0)
        return false;
    return waitid(COMPAT_P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ||
           errno == ECHILD;
}

/* Reads the pid of @pidfd, and checks that all uids of its process are @uid (Linux 6.13). */
static int info_read(struct identity *identity, int pidfd, uid_t uid) {
    struct info info = {.mask = INFO_CREDENTIALS};

    if (ioctl(pidfd, INFO_REQUEST, &info) < 0)
        return errno == ESRCH ? IDENTITY_E_ENDED : -errno;
    if ((info.mask & INFO_CREDENTIALS) == 0 || info.pid == 0)
        return IDENTITY_E_ENDED;
    identity->pid = (pid_t)info.pid;
    return info.ruid == uid && info.euid == uid && info.suid == uid && info.fsuid == uid
               ? 0
               : IDENTITY_E_OTHER_USER;
}

/* The same by /proc, which takes ten times as long: the pid by the fdinfo, the uids by the status.
 */
static int proc_read(struct identity *identity, int pidfd, uid_t uid) {
    CLEANUP_FREE char *fdinfo = NULL;
    CLEANUP_FREE char *status = NULL;
    char name[48];
    const char *line;
    int r;

    (void)snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", pidfd);
    r = proc_file_read(AT_FDCWD, name, &fdinfo);
    if (r < 0)
        return r;
    line = strstr(fdinfo, "\nPid:");
    identity->pid = line != NULL ? atoi(line + strlen("\nPid:")) : 0;
    if (identity->pid <= 0)
        return IDENTITY_E_ENDED;
    (void)snprintf(name, sizeof(name), "/proc/%d/status", (int)identity->pid);
    r = proc_file_read(AT_FDCWD, name, &status);
    /* The file is this process's only if it has not ended until now. */
    if (identity_has_ended(pidfd))
        return IDENTITY_E_ENDED;
    if (r < 0)
        return r;
    return proc_file_line_is(status, "\nUid:", 4, uid) ? 0 : IDENTITY_E_OTHER_USER;
}

/* The start time of @pid in ticks: field 22, the 20th after the name, which may hold anything. */
static int start_time_read(pid_t pid, uint64_t *startp) {
    CLEANUP_FREE char *text = NULL;
    char name[32];
    const char *at;
    int r;

    (void)snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
    r = proc_file_read(AT_FDCWD, name, &text);
    if (r < 0)
        return r == -ENOENT || r == -ESRCH ? IDENTITY_E_ENDED : r;
    at = strrchr(text, ')');
    for (int i = 0; i < 20 && at != NULL; i++)
        at = strchr(at + 1, ' ');
    if (at == NULL)
        return -EBADMSG;
    *startp = strtoull(at, NULL, 10);
    return 0;
}

static int start_read(struct identity *identity, int pidfd) {
    struct stat status;
    int r;

    if (has_pidfs) {
        identity->start_kind = 'i';
        if (fstat(pidfd, &status) < 0)
            return -errno;
        identity->start = status.st_ino;
        return 0;
    }
    identity->start_kind = 't';
    r = start_time_read(identity->pid, &identity->start);
    return r == 0 && identity_has_ended(pidfd) ? IDENTITY_E_ENDED : r;
}

/*
 * Checks that @pidfd, which a stranger may have chosen, means a process of @uid, and fills
 * @identity. Returns 0, IDENTITY_E_NOT_PIDFD, IDENTITY_E_OTHER_USER, IDENTITY_E_ENDED or a negative
 * errno.
 */
int identity_read(struct identity *identity, int pidfd, uid_t uid) {
    int r = !is_pidfd(pidfd) ? IDENTITY_E_NOT_PIDFD
            : has_info       ? info_read(identity, pidfd, uid)
                             : proc_read(identity, pidfd, uid);

    return r == 0 ? start_read(identity, pidfd) : r;
}

/* True if identity_read() can find out what a pidfd means: asks about this process. */
bool identity_is_readable(void) {
    CLEANUP_FD int own = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct identity identity;

    return own >= 0 && identity_read(&identity, own, getuid()) == 0;
}

/*
 * Opens a pidfd of the process of @identity. Returns 0 with *@pidfdp, the caller's;
 * IDENTITY_E_ENDED if the process is gone, or the pid is another's now; a negative errno if that is
 * not known.
 */
int identity_open(const struct identity *identity, int *pidfdp) {
    struct identity found = {.pid = identity->pid};
    CLEANUP_FD int pidfd = (int)syscall(SYS_pidfd_open, identity->pid, 0);
    int r;

    /* EINVAL, ENOENT: the number is a thread's now. */
    if (pidfd < 0)
        return errno == ESRCH || errno == EINVAL || errno == ENOENT ? IDENTITY_E_ENDED : -errno;
    r = start_read(&found, pidfd);
    if (r != 0)
        return r;
    if (found.start_kind != identity->start_kind || found.start != identity->start)
        return IDENTITY_E_ENDED;
    *pidfdp = base_steal_fd(&pidfd);
    return 0;
}
