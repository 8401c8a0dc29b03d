#include "tests/hostile/confine.h"

#include <fcntl.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static bool text_write(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? write(fd, text, strlen(text)) : -1;

    base_close_fd(&fd);
    return n == (ssize_t)strlen(text);
}

static void map_all_ids(pid_t pid, const char *file) {
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    assert_true(text_write(path, "0 0 4294967295"));
}

/*
 * Makes a user namespace in which every id is the same as outside, so that utsbroker gets the same
 * replies as outside. The namespace has its own count of UTS namespaces, and its limit can be set
 * without CAP_SYS_RESOURCE outside (user.max_uts_namespaces, namespaces(7)).
 */
void confine_to_namespace(struct confine *confine) {
    int ends[2];
    char byte;

    *confine = (struct confine){.keeper = 0};
    snprintf(confine->limit, sizeof(confine->limit), "/proc/sys/user/max_uts_namespaces");
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    confine->keeper = fork();
    assert_true(confine->keeper >= 0);
    if (confine->keeper == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || unshare(CLONE_NEWUSER) < 0)
            _exit(1);
        (void)!write(ends[1], "", 1);
        for (;;)
            pause();
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    map_all_ids(confine->keeper, "uid_map");
    map_all_ids(confine->keeper, "gid_map");
}

/* Whether the children of @folder have @controller (cgroup version 2). */
static bool children_have(const char *folder, const char *controller) {
    char path[160], word[64];
    bool is_there = false;
    FILE *file;

    snprintf(path, sizeof(path), "%s/cgroup.subtree_control", folder);
    file = fopen(path, "re");
    while (file != NULL && !is_there && fscanf(file, "%63s", word) == 1)
        is_there = strcmp(word, controller) == 0;
    if (file != NULL)
        fclose(file);
    return is_there;
}

/* Finds a folder in which a cgroup with @controller can be made, version 1 or version 2. */
static bool hierarchy_find(const char *controller, char *folder, size_t size, bool *is_v2p) {
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    const struct mntent *entry;
    bool is_there = false;

    assert_non_null(mounts);
    while (!is_there && (entry = getmntent(mounts)) != NULL) {
        *is_v2p = strcmp(entry->mnt_type, "cgroup2") == 0;
        is_there = *is_v2p ? children_have(entry->mnt_dir, controller)
                           : strcmp(entry->mnt_type, "cgroup") == 0 && hasmntopt(entry, controller);
        snprintf(folder, size, "%s", entry->mnt_dir);
    }
    endmntent(mounts);
    return is_there;
}

/* Makes a cgroup with @controller, "pids" or "memory". Returns false if this machine has none. */
bool confine_to_cgroup(struct confine *confine, const char *controller) {
    char folder[64];
    bool is_v2;

    *confine = (struct confine){.keeper = 0};
    if (!hierarchy_find(controller, folder, sizeof(folder), &is_v2))
        return false;
    snprintf(confine->cgroup, sizeof(confine->cgroup), "%s/utsbroker-test-XXXXXX", folder);
    if (mkdtemp(confine->cgroup) == NULL) {
        confine->cgroup[0] = '\0';
        return false;
    }
    snprintf(confine->limit, sizeof(confine->limit), "%s/%s", confine->cgroup,
             strcmp(controller, "pids") == 0 ? "pids.max"
             : is_v2                         ? "memory.max"
                                             : "memory.limit_in_bytes");
    return true;
}

/* Puts this process into the confinement, permanently. It must be root. */
void confine_enter(void *context) {
    const struct confine *confine = context;
    char path[160];
    int fd;

    snprintf(path, sizeof(path), "%s/cgroup.procs", confine->cgroup);
    if (confine->cgroup[0] != '\0' && !text_write(path, "0"))
        _exit(203);
    if (confine->keeper == 0)
        return;
    snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)confine->keeper);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWUSER) < 0)
        _exit(203);
    base_close_fd(&fd);
}

/* Enters the confinement and becomes the user. */
void confine_become(void *context) {
    confine_enter(context);
    harness_become(USER_WITHOUT_NAME);
}

/*
 * Sets the limit to @amount; a user namespace's limit is set from inside. Returns false if the
 * kernel refuses because more is in use that it cannot take away.
 */
bool confine_allow(const struct confine *confine, unsigned long amount) {
    char text[32];
    pid_t pid = fork();
    int status;

    snprintf(text, sizeof(text), "%lu", amount);
    if (pid == 0) {
        if (confine->keeper != 0)
            confine_enter((void *)(uintptr_t)confine);
        _exit(text_write(confine->limit, text) ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status == 0;
}

/* Removes the confinement, which must be empty. */
void confine_end(struct confine *confine) {
    if (confine->keeper != 0) {
        kill(confine->keeper, SIGKILL);
        assert_int_equal(waitpid(confine->keeper, NULL, 0), confine->keeper);
    }
    /* A process that has ended leaves its cgroup when any parent reaps it. */
    for (int i = 0; confine->cgroup[0] != '\0' && rmdir(confine->cgroup) < 0; i++) {
        if (i == 1000)
            fail_msg("%s cannot be removed", confine->cgroup);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        usleep(10000);
    }
    *confine = (struct confine){.keeper = 0};
}
