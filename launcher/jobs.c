#include "launcher/jobs.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "launcher/children.h"

enum { PROCESSES_MAX = 4096 }; /* more are not looked for: a command that forks without an end */

/* The command and the processes that come from it. */
struct tree {
    pid_t session;
    size_t n;
    pid_t pids[PROCESSES_MAX];
};

/* Adds the children of @pid. Who has left the session is a daemon, which wants to live on. */
static void tree_add_children(struct tree *tree, pid_t pid) {
    char path[64];
    DIR *threads;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    threads = opendir(path);
    if (threads == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10); /* 0: "." and ".." */
        pid_t *added = &tree->pids[tree->n];
        size_t n = thread > 0 ? children_list(pid, thread, added, PROCESSES_MAX - tree->n) : 0;

        for (size_t i = 0; i < n; i++)
            if (getsid(added[i]) == tree->session)
                tree->pids[tree->n++] = added[i];
    }
    (void)closedir(threads);
}

static bool tree_has(const struct tree *tree, pid_t pid) {
    for (size_t i = 0; i < tree->n; i++)
        if (tree->pids[i] == pid)
            return true;
    return false;
}

/* @id is that of a process, or the negative one of a group. What is stopped continues, to end. */
static void signal_send(pid_t id) {
    (void)kill(id, SIGHUP);
    (void)kill(id, SIGCONT);
}

/*
 * Sends SIGHUP to the jobs of @command (0: it has ended), which gets it first: else a shell would
 * begin its next command. If there are none, nobody gets it here: the end of the launcher does
 * that, hang-up.h.
 *
 * Not race-free: a process that is reaped meanwhile may leave its number to another, of the same
 * user. The kernel gives a number again only after all others.
 */
void jobs_hang_up(pid_t command) {
    static struct tree tree; /* too large for a stack */
    bool has_jobs = false;

    if (command == 0)
        return;
    tree.session = getsid(command);
    tree.pids[0] = command;
    tree.n = 1;
    for (size_t i = 0; i < tree.n; i++)
        tree_add_children(&tree, tree.pids[i]);
    for (size_t i = 1; i < tree.n; i++)
        has_jobs = has_jobs || getpgid(tree.pids[i]) != getpgid(command);
    if (!has_jobs)
        return;
    signal_send(getpgid(command) == command ? -command : command);
    for (size_t i = 1; i < tree.n; i++) {
        pid_t group = getpgid(tree.pids[i]);

        if (group == tree.pids[i])
            signal_send(-group);
        else if (group > 0 && group != command && !tree_has(&tree, group))
            signal_send(tree.pids[i]);
    }
}
