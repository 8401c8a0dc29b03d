#include "broker/service/peer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/proc-file.h"
#include "broker/service/caller-limits.h"
#include "utsbroker/base.h"
#include "utsbroker/protocol.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

/*
 * The service starts the command outside of its caller's confinement. So a caller that is confined
 * in any way is refused. The kernel is asked about the process that connected. If it lives when all
 * was read, then all was read of the same process.
 */

/*
 * What could not be read makes the peer PROTOCOL_UNREADABLE. A shortage of the service's own says
 * nothing about the peer and stays an errno.
 */
static int peer_failure(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM ? -error : PROTOCOL_UNREADABLE;
}

/* A pidfd of the process that connected, even if it has passed the connection on. -ESRCH: it has
 * ended. */
static int peer_open_pidfd(int connection, pid_t pid) {
    int pidfd = -1;
    socklen_t size = sizeof(pidfd);

    if (getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
        return pidfd;
    if (errno != ENOPROTOOPT)
        return errno == EINVAL ? -ESRCH : -errno;
    /* Before Linux 6.5: a pid that was reused since connect(2) is not noticed. */
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return pidfd < 0 ? -errno : pidfd;
}

static bool peer_is_gone(int pidfd) {
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};

    return poll(&ended, 1, 0) != 0;
}

static bool gids_contain(const gid_t *gids, size_t n, gid_t gid) {
    for (size_t i = 0; i < n; i++)
        if (gids[i] == gid)
            return true;
    return false;
}

/* Reads the supplementary groups and appends @gid, the primary group. */
static int peer_get_groups(int connection, gid_t gid, gid_t **gidsp, size_t *np) {
    CLEANUP_FREE gid_t *gids = NULL;
    socklen_t size = 0;

    if (getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) < 0 && errno != ERANGE)
        return -errno;
    gids = malloc(size + sizeof(*gids));
    if (gids == NULL)
        return -ENOMEM;
    if (size > 0 && getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, gids, &size) < 0)
        return -errno;
    *np = size / sizeof(*gids) + 1;
    gids[*np - 1] = gid;
    *gidsp = gids;
    gids = NULL;
    return 0;
}

/* The command gets the service's groups, so the caller must have each. It may have more. */
static int peer_check_groups(struct peer *peer, int connection, gid_t gid,
                             const struct subject *subject) {
    CLEANUP_FREE gid_t *gids = NULL;
    size_t n = 0;
    int r = peer_get_groups(connection, gid, &gids, &n);

    if (r < 0)
        return r;
    for (size_t i = 0; i < subject->n_gids; i++)
        if (!gids_contain(gids, n, subject->gids[i])) {
            peer->difference.group = subject->gids[i];
            return PROTOCOL_LACKS_GROUP;
        }
    for (size_t i = 0; i < n; i++)
        if (!gids_contain(subject->gids, subject->n_gids, gids[i]) &&
            peer->difference.n_groups_lost++ == 0)
            peer->difference.group = gids[i];
    return 0;
}

/* Reads the cgroups of a process (cgroups(7)). A kernel without cgroups has no file: NULL. */
static int cgroup_read(int folder, char **textp) {
    int r = proc_file_read(folder, "cgroup", textp);

    if (r != -ENOENT)
        return r;
    *textp = NULL;
    return 0;
}

/*
 * no_new_privs by itself confines nothing that a command of the service would not have as well. But
 * who has it may be in a sandbox that /proc does not show, of a unit's or of their own. So the
 * caller must be in the cgroup of this service, which a user cannot enter: it comes from one of the
 * service's commands. And it must have proved that no security module confines it.
 */
static int peer_check_no_new_privs(int folder, const struct peer_reference *ours, bool has_proved) {
    CLEANUP_FREE char *theirs = NULL;
    int r = cgroup_read(folder, &theirs);

    if (r < 0)
        return peer_failure(-r);
    if ((theirs == NULL) != (ours->cgroup == NULL) ||
        (theirs != NULL && strcmp(theirs, ours->cgroup) != 0))
        return PROTOCOL_NO_NEW_PRIVS;
    return has_proved ? 0 : PROTOCOL_UNPROVED;
}

/* A kernel that does not show all of these lines is not relied on. */
static int peer_check_status(int folder, uid_t uid, bool *has_no_new_privsp) {
    static const char *const keys[] = {"\nUid:", "\nNoNewPrivs:", "\nSeccomp:"};
    CLEANUP_FREE char *status = NULL;
    int r = proc_file_read(folder, "status", &status);

    if (r < 0)
        return peer_failure(-r);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(keys); i++)
        if (strstr(status, keys[i]) == NULL)
            return PROTOCOL_UNREADABLE;
    if (!proc_file_line_is(status, "\nUid:", 4, uid))
        return PROTOCOL_OTHER_USER;
    *has_no_new_privsp = !proc_file_line_is(status, "\nNoNewPrivs:", 1, 0);
    return proc_file_line_is(status, "\nSeccomp:", 1, 0) ? 0 : PROTOCOL_FILTERED;
}

/* The command gets the caller's limits, which may be lower than the service's. */
static int peer_read_limits(pid_t pid, int folder, const struct limits *own,
                            struct limits *limits) {
    int r = caller_limits_read(limits, pid, folder);

    if (r < 0)
        return peer_failure(-r);
    caller_limits_compare(limits, own);
    return 0;
}

static bool is_same_inode(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static const struct {
    const char *file; /* in /proc/PID/ns */
    unsigned request; /* PIDFD_GET_USER_NAMESPACE and its like (<linux/pidfd.h>) */
    enum protocol_namespace kind;
} namespaces[PEER_NAMESPACES_MAX] = {
    {"user", 9, PROTOCOL_USER_NAMESPACE},     {"mnt", 3, PROTOCOL_MOUNT_NAMESPACE},
    {"pid", 5, PROTOCOL_PID_NAMESPACE},       {"pid_for_children", 6, PROTOCOL_PID_NAMESPACE},
    {"net", 4, PROTOCOL_NETWORK_NAMESPACE},   {"ipc", 2, PROTOCOL_IPC_NAMESPACE},
    {"time", 7, PROTOCOL_TIME_NAMESPACE},     {"time_for_children", 8, PROTOCOL_TIME_NAMESPACE},
    {"cgroup", 1, PROTOCOL_CGROUP_NAMESPACE},
};

/*
 * Notes namespaces, root directory and limits of this process. A kind of namespace that the kernel
 * lacks is left out (namespaces(7)). Returns 0 or a negative errno.
 */
int peer_reference_init(struct peer_reference *ours) {
    CLEANUP_FD int folder = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r;

    *ours = (struct peer_reference){.has_namespace = {false}};
    if (folder < 0)
        return -errno;
    r = caller_limits_read(&ours->limits, getpid(), folder);
    if (r == 0)
        r = cgroup_read(folder, &ours->cgroup);
    if (r < 0)
        return r;
    for (size_t i = 0; i < PEER_NAMESPACES_MAX; i++) {
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", namespaces[i].file);
        if (stat(path, &ours->namespaces[i]) == 0)
            ours->has_namespace[i] = true;
        else if (errno != ENOENT)
            return -errno;
    }
    return root_directory_read(&ours->root, AT_FDCWD, "/");
}

/* Frees what @ours holds. */
void peer_reference_deinit(struct peer_reference *ours) {
    free(ours->cgroup);
    ours->cgroup = NULL;
}

/*
 * The namespace of the process as a file, by its pidfd: /proc takes several times as long
 * (ioctl_nsfs(2), Linux 6.11). -1: this kernel does not do it, or not for this kind.
 */
static int namespace_open(int pidfd, size_t i) {
    return ioctl(pidfd, _IO(0xFF, namespaces[i].request), 0);
}

static int namespace_stat(int pidfd, int folder, size_t i, struct stat *status) {
    CLEANUP_FD int fd = namespace_open(pidfd, i);
    char path[64];

    if (fd >= 0)
        return fstat(fd, status);
    (void)snprintf(path, sizeof(path), "ns/%s", namespaces[i].file);
    return fstatat(folder, path, status, 0);
}

static int peer_check_namespaces(struct peer *peer, int pidfd, int folder,
                                 const struct peer_reference *ours) {
    for (size_t i = 0; i < PEER_NAMESPACES_MAX; i++) {
        struct stat theirs;

        if (!ours->has_namespace[i])
            continue;
        if (namespace_stat(pidfd, folder, i, &theirs) < 0)
            return peer_failure(errno);
        if (!is_same_inode(&ours->namespaces[i], &theirs)) {
            peer->difference.other_namespace = namespaces[i].kind;
            return PROTOCOL_OTHER_NAMESPACE;
        }
    }
    return 0;
}

static int peer_check_root(int folder, const struct root_directory *ours) {
    struct root_directory theirs;
    int r = root_directory_read(&theirs, folder, "root");

    if (r < 0)
        return peer_failure(-r);
    return root_directory_is_same(ours, &theirs) ? 0 : PROTOCOL_OTHER_ROOT;
}

/*
 * Checks that the process that connected (SO_PEERCRED, unix(7)) is @subject, whose service this is,
 * and has no confinement that a command of the service, which lives in @ours, would not have. A
 * caller with no_new_privs must have proved that (@has_proved). Reads no byte of what it sent.
 *
 * Returns 0 with @peer filled; a positive enum protocol_confinement, with @peer saying more about a
 * group or a namespace; PROTOCOL_UNPROVED if only the proof is missing; a negative errno. The
 * caller must refuse in both.
 */
int peer_examine(struct peer *peer, int connection, const struct subject *subject,
                 const struct peer_reference *ours, bool has_proved) {
    bool has_no_new_privs = false;
    struct ucred credentials;
    socklen_t size = sizeof(credentials);
    CLEANUP_FD int pidfd = -1;
    CLEANUP_FD int folder = -1;
    char path[32];
    int r;

    peer->difference = (struct caller_difference){.group = 0};
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
        return -errno;
    if (credentials.uid != subject->uid)
        return PROTOCOL_OTHER_USER;
    peer->pid = credentials.pid;
    if (credentials.pid <= 0) { /* a pid namespace that this one does not see */
        peer->difference.other_namespace = PROTOCOL_PID_NAMESPACE;
        return PROTOCOL_OTHER_NAMESPACE;
    }
    pidfd = peer_open_pidfd(connection, credentials.pid);
    if (pidfd < 0)
        return pidfd == -ESRCH ? PROTOCOL_GONE : pidfd;
    (void)snprintf(path, sizeof(path), "/proc/%d", (int)credentials.pid);
    folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    r = folder < 0 ? peer_failure(errno) : 0;
    if (r == 0)
        r = peer_check_groups(peer, connection, credentials.gid, subject);
    if (r == 0)
        r = peer_check_status(folder, subject->uid, &has_no_new_privs);
    if (r == 0)
        r = peer_check_namespaces(peer, pidfd, folder, ours);
    if (r == 0)
        r = peer_check_root(folder, &ours->root);
    if (r == 0)
        r = peer_read_limits(credentials.pid, folder, &ours->limits, &peer->limits);
    if (r == 0 && has_no_new_privs)
        r = peer_check_no_new_privs(folder, ours, has_proved);
    /* Last: only if the process still lives was all of this read of it. */
    if (!peer_is_gone(pidfd))
        return r;
    peer->difference = (struct caller_difference){.group = 0};
    return PROTOCOL_GONE;
}
