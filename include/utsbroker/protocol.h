#pragma once

/*
 * The protocol between launcher and broker: one request, one reply, over a SOCK_SEQPACKET socket of
 * AF_UNIX; from the service then a notice for each stop of the command and for its end. Each is one
 * record of a fixed size; the version comes first; reserved bytes are zero. Both ends run on one
 * machine, so integers are in its byte order.
 *
 * Identity is never in a record: the broker knows its user from the kernel.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

enum {
    PROTOCOL_VERSION = 3,
    /* __NEW_UTS_LEN, uname(2): a name has 64 bytes at the most, and its NUL follows. */
    PROTOCOL_NAME_SIZE = 65,
    PROTOCOL_RULE_FILE_SIZE = 256,
};

/* Which names a request asks for, and which of them a refusal is about. */
enum {
    PROTOCOL_HOSTNAME = 1U << 0,
    PROTOCOL_DOMAINNAME = 1U << 1,
    PROTOCOL_NAMES_ALL = PROTOCOL_HOSTNAME | PROTOCOL_DOMAINNAME,
};

/* Which way a request takes, what comes with it, and what more is wanted. */
enum {
    PROTOCOL_TO_SERVICE = 1U << 0,
    PROTOCOL_HAS_TERMINAL = 1U << 1,       /* to the service only */
    PROTOCOL_DIES_WITH_LAUNCHER = 1U << 2, /* the command is killed when the launcher ends */
    PROTOCOL_ASKS_FOR_NAMESPACE = 1U << 3, /* the reply says which UTS namespace it is */
    PROTOCOL_FLAGS_OF_SERVICE = PROTOCOL_TO_SERVICE | PROTOCOL_HAS_TERMINAL,
    PROTOCOL_FLAGS_ALL = (1U << 4) - 1,
};

/*
 * The descriptors of a request, in this order: the launch description (utsbroker/launch.h). To the
 * service then the working directory (O_PATH); the controlling terminal, if the request has one;
 * and those that the command inherits, whose numbers are in the launch description.
 */
enum { PROTOCOL_LAUNCH_FD, PROTOCOL_CWD_FD, PROTOCOL_TERMINAL_FD };

/* How a request ended. PROTOCOL_GRANTED is 0; the rest are refusals. */
enum protocol_status {
    PROTOCOL_GRANTED,
    PROTOCOL_DENIED,          /* by a rule, or because no rule permits it */
    PROTOCOL_BAD_REQUEST,     /* a malformed record or launch description */
    PROTOCOL_BAD_VERSION,     /* launcher and broker are of different versions */
    PROTOCOL_BAD_NAME,        /* not a name of RFC 1123, and no rule spells it out */
    PROTOCOL_POLICY_INVALID,  /* no policy, or one with an error */
    PROTOCOL_LIMIT_REACHED,   /* the rule's limit of live commands */
    PROTOCOL_NEEDS_DIRECT,    /* the rule says setuid, and this is the service */
    PROTOCOL_NEEDS_SERVICE,   /* the rule has a limit, and nobody counts in direct mode */
    PROTOCOL_CALLER_CONFINED, /* the service: enum protocol_confinement says how */
    PROTOCOL_NO_CAPABILITY,   /* the broker was started without CAP_SYS_ADMIN */
    PROTOCOL_KERNEL_REFUSED,  /* errno says why */
    PROTOCOL_EXEC_FAILED,     /* errno says why */
    PROTOCOL_NOT_LOGGED,      /* there is a log daemon, and it does not take the line */
    PROTOCOL_TOO_LATE,        /* the policy was loaded too long before the request came */
    PROTOCOL_STATUS_COUNT
};

/* What the service starts nothing for: what the caller would leave behind by it. */
enum protocol_confinement {
    PROTOCOL_UNCONFINED,
    PROTOCOL_OTHER_USER,      /* it is not the user whose service this is */
    PROTOCOL_LACKS_GROUP,     /* that the service has */
    PROTOCOL_NO_NEW_PRIVS,    /* it has no_new_privs set */
    PROTOCOL_FILTERED,        /* it has a seccomp filter */
    PROTOCOL_OTHER_NAMESPACE, /* of any kind but UTS */
    PROTOCOL_OTHER_ROOT,      /* chroot(2) */
    PROTOCOL_GONE,            /* before all of this was read */
    PROTOCOL_UNREADABLE,      /* /proc does not show the service what it needs to know */
    PROTOCOL_CONFINEMENT_COUNT
};

/* The request. */
struct protocol_request {
    uint32_t version;
    uint32_t names; /* PROTOCOL_HOSTNAME, PROTOCOL_DOMAINNAME or both */
    uint32_t flags; /* PROTOCOL_TO_SERVICE and its like */
    char hostname[PROTOCOL_NAME_SIZE];
    char domainname[PROTOCOL_NAME_SIZE];
    uint8_t reserved[2];
};
_Static_assert(sizeof(struct protocol_request) == 144, "the request has no holes");

/* The reply; with a pidfd of the command as its one descriptor if it was granted. */
struct protocol_reply {
    uint32_t version;
    uint32_t status;        /* enum protocol_status */
    int32_t error;          /* an errno, or 0 */
    int32_t pid;            /* of the command, or 0 */
    uint32_t names;         /* denied, bad name: the names that it is about */
    uint32_t rule_line;     /* of the rule that decided, or 0 */
    uint32_t confinement;   /* enum protocol_confinement */
    uint32_t groups_differ; /* 1: the command has not all groups of the caller */
    uint64_t uts_namespace; /* its inode; 0: not asked for, or not known (no /proc) */
    char rule_file[PROTOCOL_RULE_FILE_SIZE];
};
_Static_assert(sizeof(struct protocol_reply) == 296, "the reply has no holes");

/* From the service, for a granted request: the command stopped, and can go on, or ended. */
struct protocol_notice {
    uint32_t version;
    int32_t wait_status; /* wait(2)'s */
};
_Static_assert(sizeof(struct protocol_notice) == 8, "the notice has no holes");

/*
 * True if @field holds a string that ends within its @size bytes and is followed by NULs only:
 * a name has exactly one encoding, and no byte travels unseen behind it.
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

/* True if @field fits the flag: a name that is asked for is there, one that is not is empty. */
static inline bool protocol_name_is_consistent(const char *field, bool asked) {
    return protocol_string_is_canonical(field, PROTOCOL_NAME_SIZE) && (field[0] != '\0') == asked;
}

/* Every record of every version begins with its version, which is looked at before all else. */
static inline int protocol_check_version(const void *bytes, size_t size) {
    uint32_t version;

    if (size < sizeof(version))
        return PROTOCOL_BAD_REQUEST;
    memcpy(&version, bytes, sizeof(version));
    return version == PROTOCOL_VERSION ? 0 : PROTOCOL_BAD_VERSION;
}

/* True if a record of these flags has as many descriptors as it needs, or may have. */
static inline bool protocol_fds_are_consistent(uint32_t flags, size_t n_fds) {
    size_t n_fixed = (flags & PROTOCOL_HAS_TERMINAL) != 0 ? 3 : 2;

    if ((flags & ~(uint32_t)PROTOCOL_FLAGS_ALL) != 0)
        return false;
    if ((flags & PROTOCOL_TO_SERVICE) == 0)
        return (flags & PROTOCOL_FLAGS_OF_SERVICE) == 0 && n_fds == 1;
    return n_fds >= n_fixed;
}

/*
 * Decodes a request: a pure function of the record's bytes and the number of its descriptors.
 * It accepts exactly the record that a launcher of this version builds and nothing else.
 * The descriptors stay the caller's, also on error.
 *
 * Returns PROTOCOL_GRANTED (0), PROTOCOL_BAD_VERSION or PROTOCOL_BAD_REQUEST; *@requestp is written
 * only with 0. Whether the names are good names is the policy's business.
 */
static inline int protocol_decode_request(const void *bytes, size_t size, size_t n_fds,
                                          struct protocol_request *requestp) {
    struct protocol_request request;
    int r = protocol_check_version(bytes, size);

    if (r != 0)
        return r;
    if (size != sizeof(request))
        return PROTOCOL_BAD_REQUEST;
    memcpy(&request, bytes, sizeof(request));

    if (!protocol_fds_are_consistent(request.flags, n_fds) || request.names == 0 ||
        (request.names & ~(uint32_t)PROTOCOL_NAMES_ALL) != 0)
        return PROTOCOL_BAD_REQUEST;
    if (!protocol_name_is_consistent(request.hostname, request.names & PROTOCOL_HOSTNAME) ||
        !protocol_name_is_consistent(request.domainname, request.names & PROTOCOL_DOMAINNAME))
        return PROTOCOL_BAD_REQUEST;
    for (size_t i = 0; i < sizeof(request.reserved); i++)
        if (request.reserved[i] != 0)
            return PROTOCOL_BAD_REQUEST;

    *requestp = request;
    return PROTOCOL_GRANTED;
}

/*
 * Decodes a reply; the same contract as protocol_decode_request().
 *
 * Returns 0, PROTOCOL_BAD_VERSION or PROTOCOL_BAD_REQUEST.
 */
static inline int protocol_decode_reply(const void *bytes, size_t size, size_t n_fds,
                                        struct protocol_reply *replyp) {
    struct protocol_reply reply;
    bool granted;
    int r = protocol_check_version(bytes, size);

    if (r != 0)
        return r;
    if (size != sizeof(reply))
        return PROTOCOL_BAD_REQUEST;
    memcpy(&reply, bytes, sizeof(reply));

    granted = reply.status == PROTOCOL_GRANTED;
    if (reply.status >= PROTOCOL_STATUS_COUNT || n_fds != (granted ? 1U : 0U) ||
        (reply.pid > 0) != granted || reply.pid < 0 || reply.error < 0 ||
        (reply.uts_namespace != 0 && !granted) ||
        (reply.names & ~(uint32_t)PROTOCOL_NAMES_ALL) != 0 || reply.groups_differ > 1 ||
        reply.confinement >= PROTOCOL_CONFINEMENT_COUNT ||
        (reply.confinement != PROTOCOL_UNCONFINED) != (reply.status == PROTOCOL_CALLER_CONFINED) ||
        !protocol_string_is_canonical(reply.rule_file, sizeof(reply.rule_file)))
        return PROTOCOL_BAD_REQUEST;

    *replyp = reply;
    return 0;
}

/*
 * Decodes a notice; the same contract as protocol_decode_request().
 *
 * Returns 0, PROTOCOL_BAD_VERSION or PROTOCOL_BAD_REQUEST.
 */
static inline int protocol_decode_notice(const void *bytes, size_t size, size_t n_fds,
                                         struct protocol_notice *noticep) {
    struct protocol_notice notice;
    int r = protocol_check_version(bytes, size);

    if (r != 0)
        return r;
    if (size != sizeof(notice) || n_fds != 0)
        return PROTOCOL_BAD_REQUEST;
    memcpy(&notice, bytes, sizeof(notice));
    /* Ended by a code or a signal, or stopped by one: no other status has a meaning (wait(2)). */
    if (!WIFEXITED(notice.wait_status) && !WIFSIGNALED(notice.wait_status) &&
        !WIFSTOPPED(notice.wait_status))
        return PROTOCOL_BAD_REQUEST;
    *noticep = notice;
    return 0;
}
