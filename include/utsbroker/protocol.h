#pragma once

/*
 * The protocol between launcher and broker: one request, one reply, over a SOCK_SEQPACKET socket of
 * AF_UNIX. Each is one record of a fixed size; the version comes first; reserved bytes are zero.
 * Both ends run on one machine, so integers are in its byte order.
 *
 * Identity is never in a record: the broker knows its user from the kernel.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    PROTOCOL_VERSION = 1,
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

/* How a request ended. PROTOCOL_GRANTED is 0; the rest are refusals. */
enum protocol_status {
    PROTOCOL_GRANTED,
    PROTOCOL_DENIED,         /* by a rule, or because no rule permits it */
    PROTOCOL_BAD_REQUEST,    /* a malformed record or launch description */
    PROTOCOL_BAD_VERSION,    /* launcher and broker are of different versions */
    PROTOCOL_BAD_NAME,       /* not a name of RFC 1123, and no rule spells it out */
    PROTOCOL_POLICY_INVALID, /* no policy, or one with an error */
    PROTOCOL_LIMIT_REACHED,  /* the rule's limit of live commands */
    PROTOCOL_NEEDS_DIRECT,   /* the rule says setuid, and this is the service */
    PROTOCOL_NEEDS_SERVICE,  /* the rule has a limit, and nobody counts in direct mode */
    PROTOCOL_CALLER_CONFINED,
    PROTOCOL_NO_CAPABILITY,  /* the broker was started without CAP_SYS_ADMIN */
    PROTOCOL_KERNEL_REFUSED, /* errno says why */
    PROTOCOL_EXEC_FAILED,    /* errno says why */
    PROTOCOL_NOT_LOGGED,     /* there is a log daemon, and it does not take the line */
    PROTOCOL_TOO_LATE,       /* the policy was loaded too long before the request came */
    PROTOCOL_STATUS_COUNT
};

/* The request; descriptor 0 of the record is the launch description (utsbroker/launch.h). */
struct protocol_request {
    uint32_t version;
    uint32_t names; /* PROTOCOL_HOSTNAME, PROTOCOL_DOMAINNAME or both */
    char hostname[PROTOCOL_NAME_SIZE];
    char domainname[PROTOCOL_NAME_SIZE];
    uint8_t reserved[6];
};
_Static_assert(sizeof(struct protocol_request) == 144, "the request has no holes");

/* The reply; with a pidfd of the command as its one descriptor if it was granted. */
struct protocol_reply {
    uint32_t version;
    uint32_t status;    /* enum protocol_status */
    int32_t error;      /* an errno, or 0 */
    int32_t pid;        /* of the command, or 0 */
    uint32_t names;     /* denied, bad name: the names that it is about */
    uint32_t rule_line; /* of the rule that decided, or 0 */
    char rule_file[PROTOCOL_RULE_FILE_SIZE];
};
_Static_assert(sizeof(struct protocol_reply) == 280, "the reply has no holes");

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
    if (size != sizeof(request) || n_fds != 1)
        return PROTOCOL_BAD_REQUEST;
    memcpy(&request, bytes, sizeof(request));

    if (request.names == 0 || (request.names & ~(uint32_t)PROTOCOL_NAMES_ALL) != 0)
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
        (reply.names & ~(uint32_t)PROTOCOL_NAMES_ALL) != 0 ||
        !protocol_string_is_canonical(reply.rule_file, sizeof(reply.rule_file)))
        return PROTOCOL_BAD_REQUEST;

    *replyp = reply;
    return 0;
}
