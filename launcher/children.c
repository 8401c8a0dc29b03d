#include "launcher/children.h"

#include <stdio.h>

/*
 * Writes the children that the thread @thread of the process @pid has started, at most @max, to
 * @pids (proc(5), /proc/PID/task/TID/children). Returns how many; 0 also if it cannot be known.
 */
size_t children_list(pid_t pid, pid_t thread, pid_t *pids, size_t max) {
    char path[64];
    FILE *children;
    size_t n = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)thread);
    children = fopen(path, "re");
    if (children == NULL)
        return 0;
    while (n < max && fscanf(children, "%d", &pids[n]) == 1)
        n++;
    (void)fclose(children);
    return n;
}
