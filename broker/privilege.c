#include "broker/privilege.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint64_t sys_admin = UINT64_C(1) << CAP_SYS_ADMIN;

/* The three sets of this thread as the kernel has them, not as a library remembers them. */
struct capability_sets {
    uint64_t effective, permitted, inheritable;
};

static int sets_read(struct capability_sets *sets) {
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
 * Lets libcap-ng write the sets that it was told, then reads them back: older releases of it
 * skipped work in silence. The ambient set needs no call of its own: the kernel keeps it within
 * permitted and inheritable (capabilities(7)), and inheritable is always empty here.
 */
static int sets_apply_and_verify(uint64_t effective, uint64_t permitted) {
    struct capability_sets sets;
    int r;

    if (capng_apply(CAPNG_SELECT_CAPS) != 0)
        return -EPERM;
    r = sets_read(&sets);
    if (r < 0)
        return r;
    if (sets.effective != effective || sets.permitted != permitted || sets.inheritable != 0)
        return -EPERM;
    return 0;
}

/*
 * Makes libcap-ng act on this process. It keeps the thread id of the first call, and a process that
 * was made by a raw clone3(2) would otherwise ask for its parent's sets: EPERM.
 */
static void sets_begin(void) {
    capng_setpid(getpid());
    capng_clear(CAPNG_SELECT_CAPS);
}

/*
 * True if this program may have got privilege by being executed (AT_SECURE, ld.so(8)): whoever
 * started it may hold less than it does, and can say nothing to it but what the protocol says. With
 * no_new_privs nothing is ever got so (PR_SET_NO_NEW_PRIVS, prctl(2)), although the kernel sets
 * AT_SECURE if the file has a capability that the caller holds: one file serves both ways.
 */
bool privilege_is_secure_execution(void) {
    return getauxval(AT_SECURE) != 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

/*
 * Reduces the permitted set to CAP_SYS_ADMIN, and effective, inheritable and ambient to nothing;
 * the bounding set stays, it is the user's. Reads the result back.
 *
 * Returns 0; PRIVILEGE_E_MISSING if CAP_SYS_ADMIN is not there to be kept; a negative errno, after
 * which the process must end.
 */
int privilege_keep_sys_admin(void) {
    struct capability_sets sets;
    int r = sets_read(&sets);

    if (r < 0)
        return r;
    if ((sets.permitted & sys_admin) == 0)
        return PRIVILEGE_E_MISSING;
    /* Safe: it only takes away. */
    sets_begin();
    if (capng_update(CAPNG_ADD, CAPNG_PERMITTED, CAP_SYS_ADMIN) != 0)
        return -EPERM;
    return sets_apply_and_verify(0, sys_admin);
}

/*
 * Makes CAP_SYS_ADMIN, which privilege_keep_sys_admin() kept, effective, and reads the result back.
 * Returns 0 or a negative errno, after which the process must end.
 */
int privilege_raise_sys_admin(void) {
    /* Safe: raises what is permitted already; nothing but gate_open() comes before it is dropped.
     */
    sets_begin();
    if (capng_update(CAPNG_ADD, (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED), CAP_SYS_ADMIN) !=
        0)
        return -EPERM;
    return sets_apply_and_verify(sys_admin, sys_admin);
}

/*
 * Empties the effective, permitted, inheritable and ambient sets and reads the result back.
 * Returns 0 or a negative errno, after which the process must end.
 */
int privilege_drop_all(void) {
    /* Safe: it only takes away, and for ever: what is not permitted cannot be raised again. */
    sets_begin();
    return sets_apply_and_verify(0, 0);
}

/*
 * Makes this process and its children, until they execute something, "not dumpable": no process of
 * the same user can ptrace(2) it, write to its memory or take its descriptors, and it leaves no
 * core (PR_SET_DUMPABLE, prctl(2)). Returns 0 or a negative errno, after which the process must
 * end.
 */
int privilege_forbid_attach(void) {
    /* Safe: it only takes rights over this process away from others. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : -EPERM;
}

/*
 * Sets no_new_privs (PR_SET_NO_NEW_PRIVS, prctl(2)): nothing that this process or its children ever
 * execute gains privilege. Returns 0 or a negative errno, after which the process must end.
 */
int privilege_forbid_new(void) {
    /* Safe: it only takes away, and cannot be undone. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -EPERM;
}
