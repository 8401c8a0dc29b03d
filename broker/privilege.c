/*
 * The capabilities of this process, no_new_privs, and who may attach to it.
 *
 * Runs in the session, the gate and the service, as the user. Each function changes the process
 * that calls it, only takes rights away (except privilege_raise_sys_admin() and
 * privilege_pass_on(), which use a permitted capability), and reads back what the kernel has.
 */

#include "broker/privilege.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/own-namespace.h"
#include "utsbroker/base.h"

static const uint64_t sys_admin = UINT64_C(1) << CAP_SYS_ADMIN;

/* The three capability sets of this thread, read from the kernel and not from a library. */
struct capability_sets {
    uint64_t effective, permitted, inheritable;
};

static int privilege_read_sets(struct capability_sets *sets) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    sets->effective = data[0].effective | (uint64_t)data[1].effective << 32;
    sets->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    sets->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
    return 0;
}

/*
 * Applies the sets that libcap-ng was given, then reads them back: its older releases skipped work
 * silently. The ambient set needs no call: the kernel keeps it within permitted and inheritable
 * (capabilities(7)).
 */
static int privilege_apply_and_verify_sets(uint64_t effective, uint64_t permitted,
                                           uint64_t inheritable) {
    struct capability_sets sets = {0, 0, 0};
    int r;

    if (capng_apply(CAPNG_SELECT_CAPS) != 0)
        return -EPERM;
    r = privilege_read_sets(&sets);
    if (r < 0)
        return r;
    if (sets.effective != effective || sets.permitted != permitted ||
        sets.inheritable != inheritable)
        return -EPERM;
    return 0;
}

/*
 * Starts with empty sets, for this process. libcap-ng keeps the thread id of its first call: in a
 * process made by a raw clone3(2) it would use the parent's id, and fail with EPERM.
 */
static void privilege_start_sets(void) {
    capng_setpid(getpid());
    capng_clear(CAPNG_SELECT_CAPS);
}

/*
 * True if this program may have gained privilege when it was executed (AT_SECURE, ld.so(8)). Then
 * the process that started it may hold less, and may tell it nothing outside of the protocol. With
 * no_new_privs a program never gains privilege (PR_SET_NO_NEW_PRIVS, prctl(2)), but the kernel sets
 * AT_SECURE all the same if the file has a capability that the caller holds: so it is where one
 * file serves both modes.
 */
bool privilege_is_secure_execution(void) {
    return getauxval(AT_SECURE) != 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

/*
 * Reduces the permitted set to CAP_SYS_ADMIN, and empties the effective, inheritable and ambient
 * sets. The bounding set stays, as the command inherits it. Reads the result back.
 *
 * Returns 0; PRIVILEGE_E_MISSING if CAP_SYS_ADMIN is not permitted; a negative errno, after which
 * the process must end.
 */
int privilege_keep_sys_admin(void) {
    struct capability_sets sets = {0, 0, 0};
    int r = privilege_read_sets(&sets);

    if (r < 0)
        return r;
    if ((sets.permitted & sys_admin) == 0)
        return PRIVILEGE_E_MISSING;
    /* Safe: it only takes rights away. */
    privilege_start_sets();
    if (capng_update(CAPNG_ADD, CAPNG_PERMITTED, CAP_SYS_ADMIN) != 0)
        return -EPERM;
    return privilege_apply_and_verify_sets(0, sys_admin, 0);
}

/*
 * Makes CAP_SYS_ADMIN, which privilege_keep_sys_admin() kept, effective, and reads the result back.
 * Returns 0 or a negative errno, after which the process must end.
 */
int privilege_raise_sys_admin(void) {
    /* Safe: it raises what is permitted already. Until it is dropped this process makes the gate,
     * connects to the ledger, and reads nothing from a stranger. */
    privilege_start_sets();
    if (capng_update(CAPNG_ADD, (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED), CAP_SYS_ADMIN) !=
        0)
        return -EPERM;
    return privilege_apply_and_verify_sets(sys_admin, sys_admin, 0);
}

/*
 * Has this process keep CAP_SYS_ADMIN, which is permitted, when it executes a program: makes it
 * inheritable and ambient, and reads the result back. privilege_keep_sys_admin() takes that back.
 * Returns 0 or a negative errno.
 */
int privilege_pass_on(void) {
    int r;

    /* Safe: it gives this process nothing. Its caller executes the installed broker next, which
     * root owns and which drops it again, and makes no child before. */
    privilege_start_sets();
    if (capng_update(CAPNG_ADD, (capng_type_t)(CAPNG_PERMITTED | CAPNG_INHERITABLE),
                     CAP_SYS_ADMIN) != 0)
        return -EPERM;
    r = privilege_apply_and_verify_sets(0, sys_admin, sys_admin);
    if (r < 0)
        return r;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0) < 0)
        return -errno;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_SYS_ADMIN, 0, 0) == 1 ? 0 : -EPERM;
}

/*
 * Empties the effective, permitted, inheritable and ambient sets and reads the result back.
 * Returns 0 or a negative errno, after which the process must end.
 */
int privilege_drop_all(void) {
    /* Safe: it only takes rights away, for ever: what is not permitted cannot be raised again. */
    privilege_start_sets();
    return privilege_apply_and_verify_sets(0, 0, 0);
}

/*
 * Makes this process, and its children until they execute a program, "not dumpable": no process of
 * the same user can ptrace(2) it, write to its memory or take its descriptors, and it leaves no
 * core (PR_SET_DUMPABLE, prctl(2)). Returns 0 or a negative errno, after which the process must
 * end.
 */
int privilege_forbid_attach(void) {
    /* Safe: it only takes rights over this process away from other processes. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : -EPERM;
}

/*
 * Sets no_new_privs (PR_SET_NO_NEW_PRIVS, prctl(2)): no program that this process or its children
 * execute gains new privileges. Returns 0 or a negative errno, after which the process must end.
 */
int privilege_forbid_new(void) {
    /* Safe: it only takes rights away, and cannot be undone. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -EPERM;
}

/*
 * Makes a socket of AF_UNIX, SOCK_SEQPACKET, with @flags (SOCK_NONBLOCK or 0) in the network
 * namespace @space. Its abstract addresses are those of that namespace. This process, which must
 * have one thread, goes there, and with @comes_back comes back. CAP_SYS_ADMIN must be effective.
 * Returns 0 with *@socketp, the caller's; a negative errno.
 */
int privilege_make_socket_in(int space, int flags, bool comes_back, int *socketp) {
    CLEANUP_FD int home = -1;
    int error = 0, r = comes_back ? own_namespace_open(OWN_NAMESPACE_NET, &home) : 0;

    if (r < 0)
        return r;
    /*
     * Safe: one socket is made there. Who stays makes no other and no child; who must come back and
     * cannot ends: a command must not start there.
     */
    if (setns(space, CLONE_NEWNET) < 0)
        return -errno;
    *socketp = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
    if (*socketp < 0)
        error = errno;
    if (comes_back && setns(home, CLONE_NEWNET) < 0)
        _exit(EXIT_FAILURE);
    return -error;
}
