#pragma once

/* A path for a file of what lives, in a folder of its own: setup and teardown of a group. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char path[64];

static int make_folder(void **state) {
    (void)state;
    snprintf(path, sizeof(path), "/tmp/test-live-XXXXXX");
    if (mkdtemp(path) == NULL)
        return -1;
    strcat(path, "/live");
    return 0;
}

static int remove_folder(void **state) {
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -r %.*s", (int)(strlen(path) - strlen("/live")), path);
    return system(command);
}
