/*
 * A command that reports its state by system calls alone, with as little memory as possible: it
 * also runs without /proc, without a loader, with a very small stack. It writes to descriptor 60,
 * or else to its output: first one line of what a host name may change, then the values that must
 * be the same without utsrun. It is linked statically, so that no variable of the loader affects
 * it.
 *
 * "witness pending N" waits until signal N is pending, and exits with 0.
 */

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "utsbroker/resource.h"

enum { REPORT_FD = 60, FDS_LOOKED_AT = 256 };

static char text[16384];
static size_t length;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(text + length, sizeof(text) - length, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof(text) - length)
        _exit(97);
    length += (size_t)n;
}

static uint64_t set_of(int which) {
    uint64_t set = 0;

    for (unsigned long capability = 0; capability < 64; capability++) {
        int is_in = which == PR_CAPBSET_READ
                        ? prctl(PR_CAPBSET_READ, capability, 0, 0, 0)
                        : prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0);

        set |= is_in == 1 ? UINT64_C(1) << capability : 0;
    }
    return set;
}

static void say_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capget, &header, data) < 0)
        _exit(96);
    say("inheritable %08x%08x permitted %08x%08x effective %08x%08x ambient %016llx\n",
        data[1].inheritable, data[0].inheritable, data[1].permitted, data[0].permitted,
        data[1].effective, data[0].effective, (unsigned long long)set_of(PR_CAP_AMBIENT));
}

/* Not the C library's calls: they hide the signals that the library uses itself. */
static void say_signals(void) {
    uint64_t blocked = 0, ignored = 0;

    (void)syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &blocked, sizeof(blocked));
    for (int number = 1; number <= 64; number++) {
        uintptr_t action[8] = {0};

        if (syscall(SYS_rt_sigaction, number, NULL, action, sizeof(uint64_t)) == 0 &&
            action[0] == (uintptr_t)SIG_IGN)
            ignored |= UINT64_C(1) << (number - 1);
    }
    say("blocked %016llx ignored %016llx\n", (unsigned long long)blocked,
        (unsigned long long)ignored);
}

static void say_identity(void) {
    uid_t uids[3];
    gid_t gids[3], groups[64];
    int n = getgroups(64, groups);

    (void)getresuid(&uids[0], &uids[1], &uids[2]);
    (void)getresgid(&gids[0], &gids[1], &gids[2]);
    say("uids %u %u %u gids %u %u %u groups", uids[0], uids[1], uids[2], gids[0], gids[1], gids[2]);
    for (int i = 0; i < n; i++)
        say(" %u", groups[i]);
    say("\n");
}

static void say_place(void) {
    const mode_t mask = umask(0);
    struct stat folder = {.st_ino = 0};

    (void)stat(".", &folder);
    say("umask %04o nice %d personality %x\n", mask, getpriority(PRIO_PROCESS, 0),
        (unsigned)personality(0xffffffff));
    if (folder.st_ino != 0 && folder.st_nlink == 0)
        say("folder (gone)\n");
    else
        say("folder %lx:%lx\n", (long)folder.st_dev, (long)folder.st_ino);
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit = {0, 0};

        (void)getrlimit((resource_limit)i, &limit);
        say("limit %d: %lx %lx\n", i, (long)limit.rlim_cur, (long)limit.rlim_max);
    }
    say("descriptors");
    for (int fd = 0; fd < FDS_LOOKED_AT; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            say(" %d", fd);
    say("\n");
}

static void say_strings(const char *what, char **strings) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    unsigned n = 0;

    for (; strings[n] != NULL; n++) {
        const char *at = strings[n];

        do {
            hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
        } while (*at++ != '\0');
    }
    say("%u %s, %016llx\n", n, what, (unsigned long long)hash);
}

static int wait_until_pending(int number) {
    for (int i = 0; i < 1000; i++) {
        uint64_t pending = 0;

        if (syscall(SYS_rt_sigpending, &pending, sizeof(pending)) == 0 &&
            (pending >> (number - 1) & 1) != 0)
            return 0;
        (void)usleep(10000);
    }
    return 1;
}

int main(int argc, char **argv, char **environment) {
    struct utsname names;
    int fd = fcntl(REPORT_FD, F_GETFD) >= 0 ? REPORT_FD : 1;

    if (argc == 3 && strcmp(argv[1], "pending") == 0)
        return wait_until_pending(atoi(argv[2]));
    if (uname(&names) < 0)
        return 98;
    say("name %s domain %s no_new_privs %d filter %d bounding %llx\n", names.nodename,
        names.domainname, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_SECCOMP, 0, 0, 0, 0),
        (unsigned long long)set_of(PR_CAPBSET_READ));
    say_capabilities();
    say_signals();
    say_identity();
    say_place();
    say_strings("arguments", argv);
    say_strings("variables", environment);
    return write(fd, text, length) == (ssize_t)length ? 0 : 95;
}
