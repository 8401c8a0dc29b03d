#include "broker/proc-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "utsbroker/base.h"

/*
 * Reads the whole file @name in @folder, which a long list of groups can make large (status,
 * proc(5)). Returns 0 with a string in *@textp, to be freed by the caller; a negative errno.
 */
int proc_file_read(int folder, const char *name, char **textp) {
    CLEANUP_FD int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    CLEANUP_FREE char *text = NULL;
    size_t size = 0, room = 4096;
    ssize_t n = 1;

    if (fd < 0)
        return -errno;
    for (; n > 0; size += (size_t)n, room *= 2) {
        char *longer = realloc(text, size + room);

        if (longer == NULL)
            return -ENOMEM;
        text = longer;
        n = read(fd, text + size, room - 1);
        if (n < 0)
            return -errno;
    }
    text[size] = '\0';
    *textp = text;
    text = NULL;
    return 0;
}

/*
 * True if the line of @key in @text, which starts with the newline before the line, has @n times
 * @expected. No process can add a line: the kernel escapes a newline in its name (proc(5)).
 */
bool proc_file_line_is(const char *text, const char *key, size_t n, unsigned long expected) {
    const char *line = strstr(text, key);
    char *end;

    if (line == NULL)
        return false;
    line += strlen(key);
    for (size_t i = 0; i < n; i++, line = end)
        if (strtoul(line, &end, 10) != expected || end == line)
            return false;
    return *line == '\n';
}
