#pragma once

/*
 * The protocol between launcher and broker, over a SOCK_SEQPACKET socket of AF_UNIX: one request,
 * one reply; before it, the service may have the launcher prove something (PROTOCOL_PROVE). The
 * service then sends a notice each time the command stops and when it ends. Each is one record of
 * fixed size, which starts with the version; reserved bytes are zero. Both ends run on one machine,
 * so integers are in its byte order.
 *
 * No record carries an identity: the broker knows its user from the kernel.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

enum {
    PROTOCOL_VERSION = 5,
    PROTOCOL_VERSION_MIN = 4, /* of a request that the broker serves, see below */
    /* A name has at most 64 bytes (__NEW_UTS_LEN, uname(2)), and a NUL after them. */
    PROTOCOL_NAME_SIZE = 65,
    PROTOCOL_RULE_FILE_SIZE = 256,
    PROTOCOL_COMMAND_SIZE = 256,
};

/* The names that a request asks for, and those that a refusal is about. */
enum {
    PROTOCOL_HOSTNAME = 1U << 0,
    PROTOCOL_DOMAINNAME = 1U << 1,
    PROTOCOL_NAMES_ALL = PROTOCOL_HOSTNAME | PROTOCOL_DOMAINNAME,
};

/* The flags of a request: its mode, what comes with it, and what else it asks for. */
enum {
    PROTOCOL_TO_SERVICE = 1U << 0,         /* service mode, else direct mode */
    PROTOCOL_HAS_TERMINAL = 1U << 1,       /* service mode only */
    PROTOCOL_DIES_WITH_LAUNCHER = 1U << 2, /* kill the command when the launcher ends */
    PROTOCOL_ASKS_FOR_NAMESPACE = 1U << 3, /* the reply tells the command's UTS namespace */
    PROTOCOL_HANGS_UP = 1U << 4,           /* SIGHUP to the command when the launcher ends */
    PROTOCOL_FLAGS_OF_SERVICE = PROTOCOL_TO_SERVICE | PROTOCOL_HAS_TERMINAL,
    PROTOCOL_FLAGS_ALL = (1U << 5) - 1,
    PROTOCOL_FLAGS_OF_4 = (1U << 4) - 1, /* those that version 4 knows */
};

/*
 * A service can be upgraded while a launcher runs, so the broker serves requests of the version
 * before, too: its reply and notices have the request's version. A launcher speaks its own version
 * only.
 *
 *    5  PROTOCOL_PROVE, PROTOCOL_NO_TRACING, PROTOCOL_UNPROVED, PROTOCOL_HANGS_UP are new
 *    4
 *
 * All records of versions 4 and 5 have the same layout, and the same launch description.
 */

/*
 * The descriptors of a request, in this order: the launch description (utsbroker/launch.h); in
 * service mode then the working directory (O_PATH), the controlling terminal if the request has
 * one, and the descriptors that the command inherits, with their numbers in the launch description.
 */
enum { PROTOCOL_LAUNCH_FD, PROTOCOL_CWD_FD, PROTOCOL_TERMINAL_FD, PROTOCOL_MONITOR_FD };

/* The result of a request. PROTOCOL_GRANTED is 0; all others are refusals. */
enum protocol_status {
    PROTOCOL_GRANTED,
    PROTOCOL_DENIED,          /* a rule denies it, or no rule permits it */
    PROTOCOL_BAD_REQUEST,     /* a malformed record or launch description */
    PROTOCOL_BAD_VERSION,     /* launcher and broker have different versions */
    PROTOCOL_BAD_NAME,        /* not a valid host name (RFC 1123), and no rule spells it out */
    PROTOCOL_POLICY_INVALID,  /* there is no policy, or it has an error */
    PROTOCOL_LIMIT_REACHED,   /* as many commands run under the rule as its limit permits */
    PROTOCOL_NEEDS_DIRECT,    /* the rule says setuid, which the service cannot do */
    PROTOCOL_NEEDS_LEDGER,    /* the rule has a limit, and this machine has no ledger to count */
    PROTOCOL_CALLER_CONFINED, /* service mode: enum protocol_confinement says how */
    PROTOCOL_NO_CAPABILITY,   /* the broker was started without CAP_SYS_ADMIN */
    PROTOCOL_KERNEL_REFUSED,  /* a system call failed; @error says why */
    PROTOCOL_EXEC_FAILED,     /* the command could not be executed; @error says why */
    PROTOCOL_NOT_LOGGED, /* the ledger, or without one the log daemon, does not take the line */
    PROTOCOL_TOO_LATE,   /* no request in time, or the policy is too old by then */
    PROTOCOL_TOO_MANY,   /* as many commands run as the ledger permits a user in all */
    PROTOCOL_PROVE,      /* service mode: not the result yet, see below */
    PROTOCOL_STATUS_COUNT
};

/*
 * A launcher with no_new_privs, in a command of the service, must prove that it may attach to a
 * process of its user (broker/service/witness.h). The service sends a reply with PROTOCOL_PROVE,
 * the
 * @pid of that process and its pidfd. The launcher attaches to it by PTRACE_SEIZE (ptrace(2)),
 * kills it by the pidfd, also if it could not attach, and waits for it only after the next reply,
 * which is the result. If the process has ended by then its pid may be another's, which must be
 * left alone.
 */

/*
 * Why the service refuses a caller: its command descends from the service, and would leave the
 * caller's confinement.
 */
enum protocol_confinement {
    PROTOCOL_UNCONFINED,
    PROTOCOL_OTHER_USER,      /* the caller is not the service's user */
    PROTOCOL_LACKS_GROUP,     /* the caller lacks a group that the service has */
    PROTOCOL_NO_NEW_PRIVS,    /* the caller has no_new_privs set, and is in another cgroup */
    PROTOCOL_FILTERED,        /* the caller has a seccomp filter */
    PROTOCOL_OTHER_NAMESPACE, /* the caller is in another namespace, of any kind but UTS */
    PROTOCOL_OTHER_ROOT,      /* the caller has another root directory, chroot(2) */
    PROTOCOL_GONE,            /* the caller ended before the service had checked all this */
    PROTOCOL_UNREADABLE,      /* /proc does not show the service what it must check */
    PROTOCOL_NO_TRACING,      /* as UNPROVED: kernel.yama.ptrace_scope lets nobody prove it */
    PROTOCOL_UNPROVED,        /* the caller has no_new_privs, and has not proved that this is all */
    PROTOCOL_CONFINEMENT_COUNT
};

/* Which kind of namespace of the caller is not the service's (namespaces(7)). */
enum protocol_namespace {
    PROTOCOL_NO_NAMESPACE, /* the refusal is about something else */
    PROTOCOL_USER_NAMESPACE,
    PROTOCOL_MOUNT_NAMESPACE,
    PROTOCOL_PID_NAMESPACE,
    PROTOCOL_NETWORK_NAMESPACE,
    PROTOCOL_IPC_NAMESPACE,
    PROTOCOL_TIME_NAMESPACE,
    PROTOCOL_CGROUP_NAMESPACE,
    PROTOCOL_NAMESPACE_COUNT
};

/* The word for @kind, an enum protocol_namespace: "mount"; "" if there is none. */
static inline const char *protocol_describe_namespace(uint32_t kind) {
    static const char *const names[PROTOCOL_NAMESPACE_COUNT] = {
        [PROTOCOL_USER_NAMESPACE] = "user",    [PROTOCOL_MOUNT_NAMESPACE] = "mount",
        [PROTOCOL_PID_NAMESPACE] = "pid",      [PROTOCOL_NETWORK_NAMESPACE] = "network",
        [PROTOCOL_IPC_NAMESPACE] = "ipc",      [PROTOCOL_TIME_NAMESPACE] = "time",
        [PROTOCOL_CGROUP_NAMESPACE] = "cgroup"};

    return kind < PROTOCOL_NAMESPACE_COUNT && names[kind] != NULL ? names[kind] : "";
}

/* The request. */
struct protocol_request {
    uint32_t version;
    uint32_t names; /* PROTOCOL_HOSTNAME, PROTOCOL_DOMAINNAME or both */
    uint32_t flags; /* PROTOCOL_TO_SERVICE and the others */
    char hostname[PROTOCOL_NAME_SIZE];
    char domainname[PROTOCOL_NAME_SIZE];
    char command[PROTOCOL_COMMAND_SIZE]; /* argv[0], or its end if it is long: for the log */
    uint8_t reserved[2];
};
_Static_assert(sizeof(struct protocol_request) == 400, "the request has no holes");

/* The reply. A granted one carries one descriptor, the command's pidfd. */
struct protocol_reply {
    uint32_t version;
    uint32_t status;         /* enum protocol_status */
    int32_t error;           /* an errno, or 0 */
    int32_t pid;             /* the command's; prove: the witness's; 0: refused */
    uint32_t names;          /* denied, bad name: the names in question */
    uint32_t rule_line;      /* line of the rule that decided, or 0 */
    uint32_t confinement;    /* enum protocol_confinement */
    uint32_t groups_lost;    /* so many groups of the caller the service, and the command, lack */
    uint32_t group;          /* one of those; lacks group: one that the caller lacks; else 0 */
    uint32_t inherited;      /* names that were not asked for and count as asked for */
    uint32_t n_live;         /* limit reached, too many: so many commands run, */
    uint32_t limit;          /* of so many that are permitted */
    uint32_t namespace_kind; /* other namespace: enum protocol_namespace; else 0 */
    uint32_t reserved;
    uint64_t uts_namespace; /* its inode; 0: not asked for, or unknown (no /proc) */
    char rule_file[PROTOCOL_RULE_FILE_SIZE];
};
_Static_assert(sizeof(struct protocol_reply) == 320, "the reply has no holes");

/* From the service, for a granted request: the command has stopped, or has ended. */
struct protocol_notice {
    uint32_t version;
    int32_t wait_status; /* wait(2) */
};
_Static_assert(sizeof(struct protocol_notice) == 8, "the notice has no holes");

/*
 * True if @field holds a string that ends within its @size bytes, and only NULs after it: so each
 * name has exactly one encoding, and the record carries no hidden bytes.
 */
static inline bool protocol_string_is_canonical(const char *field, size_t size) {
    size_t length = strnlen(field, size);

    if (length == size)
        return false;
    for (size_t i = length; i < size; i++)
        if (field[i] != '\0')
            return false;
    return true;
}

/* True if @field is a canonical string, which is empty exactly if @asked is false. */
static inline bool protocol_name_is_consistent(const char *field, bool asked) {
    return protocol_string_is_canonical(field, PROTOCOL_NAME_SIZE) && (field[0] != '\0') == asked;
}

/* True if the broker serves requests of @version. */
static inline bool protocol_serves_version(uint32_t version) {
    return version >= PROTOCOL_VERSION_MIN && version <= PROTOCOL_VERSION;
}

/*
 * Checks the version first: every record of every version starts with it. It must be between @min
 * and PROTOCOL_VERSION.
 */
static inline int protocol_check_version(const void *bytes, size_t size, uint32_t min) {
    uint32_t version;

    if (size < sizeof(version))
        return PROTOCOL_BAD_REQUEST;
    memcpy(&version, bytes, sizeof(version));
    return version >= min && version <= PROTOCOL_VERSION ? 0 : PROTOCOL_BAD_VERSION;
}

/* The version in which the launcher is answered that has sent a request of these @bytes. */
static inline uint32_t protocol_choose_version(const void *bytes, size_t size) {
    uint32_t version = PROTOCOL_VERSION;

    if (size >= sizeof(version))
        memcpy(&version, bytes, sizeof(version));
    return protocol_serves_version(version) ? version : PROTOCOL_VERSION;
}

/* Makes @reply, which is of this version, one of @version, which has no word for some refusals. */
static inline void protocol_adapt_reply(struct protocol_reply *reply, uint32_t version) {
    reply->version = version;
    if (version == 4 &&
        (reply->confinement == PROTOCOL_NO_TRACING || reply->confinement == PROTOCOL_UNPROVED))
        reply->confinement = PROTOCOL_NO_NEW_PRIVS;
}

/*
 * True if these flags of a request go together, and @n_fds is a valid number of descriptors for
 * them.
 */
static inline bool protocol_fds_are_consistent(uint32_t flags, size_t n_fds) {
    size_t n_fixed =
        (flags & PROTOCOL_HAS_TERMINAL) != 0 ? PROTOCOL_MONITOR_FD + 1 : PROTOCOL_CWD_FD + 1;

    if ((flags & ~(uint32_t)PROTOCOL_FLAGS_ALL) != 0 ||
        ((flags & PROTOCOL_DIES_WITH_LAUNCHER) != 0 && (flags & PROTOCOL_HANGS_UP) != 0))
        return false;
    if ((flags & PROTOCOL_TO_SERVICE) == 0)
        return (flags & PROTOCOL_FLAGS_OF_SERVICE) == 0 && n_fds == 1;
    return n_fds >= n_fixed;
}

/*
 * Decodes a request: a pure function of the record's bytes and the number of its descriptors.
 * Accepts exactly the record that a launcher of a version that is served builds, and nothing else.
 * The descriptors stay the caller's, also on error.
 *
 * Returns PROTOCOL_GRANTED (0), PROTOCOL_BAD_VERSION or PROTOCOL_BAD_REQUEST; *@requestp is written
 * only with 0. It does not check the names themselves: the policy does.
 */
static inline int protocol_decode_request(const void *bytes, size_t size, size_t n_fds,
                                          struct protocol_request *requestp) {
    struct protocol_request request;
    int r = protocol_check_version(bytes, size, PROTOCOL_VERSION_MIN);

    if (r != 0)
        return r;
    if (size != sizeof(request))
        return PROTOCOL_BAD_REQUEST;
    memcpy(&request, bytes, sizeof(request));

    if (request.version == 4 && (request.flags & ~(uint32_t)PROTOCOL_FLAGS_OF_4) != 0)
        return PROTOCOL_BAD_REQUEST;
    if (!protocol_fds_are_consistent(request.flags, n_fds) || request.names == 0 ||
        (request.names & ~(uint32_t)PROTOCOL_NAMES_ALL) != 0)
        return PROTOCOL_BAD_REQUEST;
    if (!protocol_name_is_consistent(request.hostname, request.names & PROTOCOL_HOSTNAME) ||
        !protocol_name_is_consistent(request.domainname, request.names & PROTOCOL_DOMAINNAME) ||
        !protocol_string_is_canonical(request.command, sizeof(request.command)))
        return PROTOCOL_BAD_REQUEST;
    for (size_t i = 0; i < sizeof(request.reserved); i++)
        if (request.reserved[i] != 0)
            return PROTOCOL_BAD_REQUEST;

    *requestp = request;
    return PROTOCOL_GRANTED;
}

/*
 * Decodes a reply, by the same contract as protocol_decode_request().
 *
 * Returns 0, PROTOCOL_BAD_VERSION or PROTOCOL_BAD_REQUEST.
 */
static inline int protocol_decode_reply(const void *bytes, size_t size, size_t n_fds,
                                        struct protocol_reply *replyp) {
    struct protocol_reply reply;
    bool granted, has_pid; /* and a pidfd */
    int r = protocol_check_version(bytes, size, PROTOCOL_VERSION);

    if (r != 0)
        return r;
    if (size != sizeof(reply))
        return PROTOCOL_BAD_REQUEST;
    memcpy(&reply, bytes, sizeof(reply));

    granted = reply.status == PROTOCOL_GRANTED;
    has_pid = granted || reply.status == PROTOCOL_PROVE;
    if (reply.status >= PROTOCOL_STATUS_COUNT || n_fds != (has_pid ? 1U : 0U) ||
        (reply.pid > 0) != has_pid || reply.pid < 0 || reply.error < 0 ||
        (reply.uts_namespace != 0 && !granted) ||
        (reply.names & ~(uint32_t)PROTOCOL_NAMES_ALL) != 0 ||
        (reply.group != 0 && reply.groups_lost == 0 && reply.confinement != PROTOCOL_LACKS_GROUP) ||
        reply.namespace_kind >= PROTOCOL_NAMESPACE_COUNT ||
        (reply.namespace_kind != PROTOCOL_NO_NAMESPACE) !=
            (reply.confinement == PROTOCOL_OTHER_NAMESPACE) ||
        (reply.inherited & ~(uint32_t)PROTOCOL_NAMES_ALL) != 0 || reply.reserved != 0 ||
        reply.confinement >= PROTOCOL_CONFINEMENT_COUNT ||
        (reply.confinement != PROTOCOL_UNCONFINED) != (reply.status == PROTOCOL_CALLER_CONFINED) ||
        !protocol_string_is_canonical(reply.rule_file, sizeof(reply.rule_file)))
        return PROTOCOL_BAD_REQUEST;

    *replyp = reply;
    return 0;
}

/*
 * Decodes a notice, by the same contract as protocol_decode_request().
 *
 * Returns 0, PROTOCOL_BAD_VERSION or PROTOCOL_BAD_REQUEST.
 */
static inline int protocol_decode_notice(const void *bytes, size_t size, size_t n_fds,
                                         struct protocol_notice *noticep) {
    struct protocol_notice notice;
    int r = protocol_check_version(bytes, size, PROTOCOL_VERSION);

    if (r != 0)
        return r;
    if (size != sizeof(notice) || n_fds != 0)
        return PROTOCOL_BAD_REQUEST;
    memcpy(&notice, bytes, sizeof(notice));
    /* Exited, killed by a signal, or stopped: any other status is invalid here (wait(2)). */
    if (!WIFEXITED(notice.wait_status) && !WIFSIGNALED(notice.wait_status) &&
        !WIFSTOPPED(notice.wait_status))
        return PROTOCOL_BAD_REQUEST;
    *noticep = notice;
    return 0;
}
