#include "launcher/diagnose.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

/* CAP_SYS_ADMIN of <linux/capability.h>, which not every C library can include. */
enum { SYS_ADMIN = 21 };

/* True if /proc/self/status has the number of @key, and it is not 0. */
static bool status_is_set(const char *key) {
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    bool is_set = false;

    if (status == NULL)
        return false;
    while (fgets(line, sizeof(line), status) != NULL) {
        long number;

        if (strncmp(line, key, strlen(key)) == 0 &&
            sscanf(line + strlen(key), ": %ld", &number) == 1)
            is_set = number != 0;
    }
    (void)fclose(status);
    return is_set;
}

/* The initial user namespace maps each id to itself (user_namespaces(7)). */
static bool is_in_user_namespace(void) {
    FILE *map = fopen("/proc/self/uid_map", "re");
    unsigned long inside, outside, count;
    int n;

    if (map == NULL)
        return false;
    n = fscanf(map, "%lu %lu %lu", &inside, &outside, &count);
    (void)fclose(map);
    return n != 3 || inside != 0 || outside != 0 || count != 4294967295UL; /* or it is empty */
}

/* Also if there is no such file, or its file system keeps no capabilities. */
static bool broker_lacks_file_capability(void) {
    return getxattr(BROKER_PATH, "security.capability", NULL, 0) < 0;
}

static bool broker_is_on_nosuid(void) {
    struct statvfs status;

    return statvfs(BROKER_PATH, &status) == 0 && (status.f_flag & ST_NOSUID) != 0;
}

/*
 * Finds out why the kernel would give the broker no capability (capabilities(7), "Transformation of
 * capabilities during execve()"). Looks at this process and at the broker's file. Returns a
 * constant sentence with reason and fix; NULL if nothing is in the way.
 */
const char *diagnose_find_obstacle(void) {
    if (broker_lacks_file_capability())
        return BROKER_PATH
            " has no file capability; install utsbroker-direct, or if this was built from "
            "source, run: sudo setcap cap_sys_admin=p " BROKER_PATH;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return "no_new_privs is set here (a command of utsrun's, a sandbox or a container), so the "
               "kernel ignores the file capability of " BROKER_PATH "; run utsrun outside of it; "
               "in a command that was started with --via service, the service can";
    if (broker_is_on_nosuid())
        return BROKER_PATH " is on a file system that is mounted nosuid, so the kernel ignores its "
                           "file capability; install it elsewhere";
    if (status_is_set("TracerPid"))
        return "utsrun is being traced (strace, gdb), so the kernel ignores the file capability "
               "of " BROKER_PATH "; run it without a tracer";
    if (prctl(PR_CAPBSET_READ, SYS_ADMIN, 0, 0, 0) == 0)
        return "the bounding set has no CAP_SYS_ADMIN (a container?), so the kernel ignores the "
               "file capability of " BROKER_PATH "; run utsrun outside of it";
    return NULL;
}

/* Says why the kernel gave the broker no capability, as diagnose_find_obstacle(). Never NULL. */
const char *diagnose_missing_capability(void) {
    const char *obstacle = diagnose_find_obstacle();

    if (obstacle != NULL)
        return obstacle;
    return BROKER_PATH
        " got no CAP_SYS_ADMIN; install utsbroker-direct again, or if this was built from "
        "source, run: sudo setcap cap_sys_admin=p " BROKER_PATH;
}

/*
 * Finds out why the broker calls the policy invalid. In a user namespace a valid policy seems
 * invalid: root's files have no owner there that the broker trusts, and the capability that it has
 * counts only inside. Returns a constant sentence with reason and fix.
 */
const char *diagnose_invalid_policy(void) {
    if (is_in_user_namespace())
        return "this is a user namespace, where the broker cannot see that root owns the policy "
               "in " POLICY_FOLDER_ADMIN "; run utsrun outside of it";
    return "the policy in " POLICY_FOLDER_ADMIN " is missing or has an error, so all requests "
           "are refused; ask your administrator to fix it (the log of utsbroker says where)";
}
