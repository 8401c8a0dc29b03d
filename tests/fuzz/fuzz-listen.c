/*
 * LISTEN_FDS, LISTEN_PID and NOTIFY_SOCKET, separated by NUL; LISTEN_PID is this process where it
 * says "self". Descriptor 3 is what the first byte says.
 */

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/listener.h"
#include "tests/fuzz/fuzz.h"

/* A socket that listens, of @type; the fuzzer's own descriptors lie elsewhere. */
static int socket_open(int type) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    /* Without an address the kernel chooses one (unix(7), autobind). */
    MUST(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(sa_family_t)) == 0);
    if (type != SOCK_DGRAM)
        MUST(listen(fd, 1) == 0);
    return fd;
}

static int descriptor_open(unsigned kind) {
    switch (kind % 6) {
    case 0:
        return -1;
    case 1:
        return open("/dev/null", O_RDWR);
    case 2:
        return socket_open(SOCK_STREAM);
    case 3:
        return socket_open(SOCK_DGRAM);
    case 4:
        return socket(AF_UNIX, SOCK_SEQPACKET, 0); /* that does not listen */
    default:
        return socket_open(SOCK_SEQPACKET);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct input input = {bytes, bytes + size};
    unsigned kind = input_byte(&input);
    CLEANUP_FREE char *fds = input_string(&input), *pid = input_string(&input),
                      *notify = input_string(&input);
    struct listener listener = LISTENER_NULL;
    CLEANUP_FD int before = fcntl(3, F_DUPFD_CLOEXEC, 100); /* the fuzzer's, if it has one there */
    int fd = descriptor_open(kind), r;
    char self[16];

    (void)snprintf(self, sizeof(self), "%d", (int)getpid());
    if (fd >= 0 && fd != 3) {
        MUST(dup2(fd, 3) == 3);
        (void)close(fd);
    } else if (fd < 0) {
        (void)close(3);
    }
    MUST(setenv("LISTEN_FDS", fds, 1) == 0 && setenv("NOTIFY_SOCKET", notify, 1) == 0);
    MUST(setenv("LISTEN_PID", strcmp(pid, "self") == 0 ? self : pid, 1) == 0);
    r = listener_take(&listener);
    if (r == 0) {
        MUST(strcmp(pid, "self") == 0 || strcmp(pid, self) == 0 || atol(pid) == getpid());
        MUST(atol(fds) == 1 && kind % 6 == 5 && listener.fd == 3);
        MUST((fcntl(3, F_GETFD) & FD_CLOEXEC) != 0);
    } else {
        MUST(r == LISTENER_E_NONE || r == LISTENER_E_WRONG);
        MUST(listener.fd < 0);
    }
    if (before >= 0)
        MUST(dup3(before, 3, O_CLOEXEC) == 3);
    else
        (void)close(3);
    return 0;
}
