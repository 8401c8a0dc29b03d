#pragma once

/*
 * A channel: a connected SOCK_SEQPACKET socket of AF_UNIX (unix(7)) that carries records with
 * descriptors. One sendmsg(2) is one record, so no function here gets part of a record.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHANNEL_FDS_MAX = 253 }; /* SCM_MAX_FD, unix(7): the most that one record carries */

union channel_control {
    char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
    struct cmsghdr aligned;
};

struct channel_fds {
    int fds[CHANNEL_FDS_MAX];
    size_t n_fds;
};

/* Closes every descriptor of @fdsp and empties it. */
static inline void channel_fds_deinit(struct channel_fds *fdsp) {
    for (size_t i = 0; i < fdsp->n_fds; i++)
        if (fdsp->fds[i] >= 0)
            (void)close(fdsp->fds[i]);
    fdsp->n_fds = 0;
}

/*
 * Sends one record with @n_fds descriptors (at most CHANNEL_FDS_MAX), which stay the caller's.
 * Returns 0 or a negative errno; -EPIPE if the other end is closed (never SIGPIPE).
 */
static inline int channel_send(int channel, const void *record, size_t size, const int *fds,
                               size_t n_fds) {
    union channel_control control = {.bytes = {0}};
    struct iovec bytes = {.iov_base = (void *)(uintptr_t)record, .iov_len = size};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    ssize_t sent;

    if (n_fds > CHANNEL_FDS_MAX)
        return -E2BIG;
    if (n_fds > 0) {
        struct cmsghdr *header;

        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * n_fds);
    }
    /* Not sendmsg(): musl's function takes at most a kibibyte of control data. */
    do {
        sent = syscall(SYS_sendmsg, channel, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return -errno;
    return (size_t)sent == size ? 0 : -EMSGSIZE;
}

/* Moves the descriptors of one control message to @fdsp. False if some did not fit: those it
 * closes. */
static inline bool channel_take_fds(const struct cmsghdr *header, struct channel_fds *fdsp) {
    size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    bool all = true;

    for (size_t i = 0; i < n; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
        if (fdsp->n_fds < CHANNEL_FDS_MAX) {
            fdsp->fds[fdsp->n_fds++] = fd;
        } else {
            (void)close(fd);
            all = false;
        }
    }
    return all;
}

/*
 * Receives one record of at most @capacity bytes. The descriptors arrive in *@fdsp, close-on-exec,
 * and are the caller's, also on error: to close(2) a stranger's descriptor can block.
 *
 * Returns 0 with *@sizep and *@fdsp; *@sizep is 0 if the other end is closed. On error returns a
 * negative errno, with *@sizep 0: -EMSGSIZE if the record was truncated or had too many
 * descriptors; -EBADMSG for control data other than descriptors; -EMFILE if the process could not
 * take all descriptors: the buffer holds as many as a record carries (recvmsg(2): MSG_TRUNC,
 * MSG_CTRUNC).
 */
static inline int channel_receive_all(int channel, void *record, size_t capacity, size_t *sizep,
                                      struct channel_fds *fdsp) {
    union channel_control control = {.bytes = {0}};
    struct iovec bytes = {.iov_base = record, .iov_len = capacity};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    int error = 0;
    ssize_t received;

    *sizep = 0;
    *fdsp = (struct channel_fds){.n_fds = 0};
    do {
        received = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
    } while (received < 0 && errno == EINTR);
    if (received < 0)
        return -errno;

    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            error = -EBADMSG;
        else if (!channel_take_fds(header, fdsp))
            error = -EMSGSIZE;
    }
    if ((message.msg_flags & MSG_CTRUNC) != 0)
        error = -EMFILE;
    if ((message.msg_flags & MSG_TRUNC) != 0)
        error = -EMSGSIZE;
    if (error != 0)
        return error;
    *sizep = (size_t)received;
    return 0;
}

/* Like channel_receive_all(), but closes the descriptors on error. */
static inline int channel_receive(int channel, void *record, size_t capacity, size_t *sizep,
                                  struct channel_fds *fdsp) {
    int r = channel_receive_all(channel, record, capacity, sizep, fdsp);

    if (r < 0)
        channel_fds_deinit(fdsp);
    return r;
}

/*
 * Like channel_receive(), but tries once more if it got no record. A peer that ends with something
 * unread resets the connection: the kernel reports that once, before the records that the peer had
 * sent (unix(7)). And memory may be free the next time.
 */
static inline int channel_receive_surely(int channel, void *record, size_t capacity, size_t *sizep,
                                         struct channel_fds *fdsp) {
    int r = channel_receive(channel, record, capacity, sizep, fdsp);
    bool is_final = r == 0 || r == -EAGAIN || r == -EMSGSIZE || r == -EBADMSG || r == -EMFILE;

    return is_final ? r : channel_receive(channel, record, capacity, sizep, fdsp);
}
