#include "broker/ledger/live-file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/proc-file.h"
#include "utsbroker/base.h"

enum {
    REWRITE_SIZE = 64 << 10,
};

/* Appends a value in quotes and @after. @at has room for it. Returns the end. */
static char *quoted_put(char *at, const char *value, char after) {
    static const char digits[] = "0123456789abcdef";

    *at++ = '"';
    for (; *value != '\0'; value++) {
        unsigned char byte = (unsigned char)*value;

        if (byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\') {
            *at++ = (char)byte;
            continue;
        }
        *at++ = '\\';
        *at++ = 'x';
        *at++ = digits[byte / 16];
        *at++ = digits[byte % 16];
    }
    *at++ = '"';
    *at++ = after;
    return at;
}

static size_t line_format(char *line, const struct live_command *command) {
    char *at =
        line + snprintf(line, LIVE_LINE_SIZE,
                        "%c %d %c%" PRIu64 " %u %c %" PRId64 " %" PRIx64 " %u ",
                        (char)command->state, (int)command->pid, command->start_kind,
                        command->start, (unsigned)command->uid, command->is_service ? 's' : 'd',
                        command->since, command->rule_key, command->rule_line);

    at = quoted_put(at, command->rule_file, ' ');
    at = quoted_put(at, command->hostname, ' ');
    at = quoted_put(at, command->domainname, ' ');
    at = quoted_put(at, command->user, ' ');
    at = quoted_put(at, command->command, '\n');
    return (size_t)(at - line);
}

/* Appends @size bytes, all or none. */
static int bytes_add(struct live_file *file, const char *bytes, size_t size) {
    ssize_t n = pwrite(file->fd, bytes, size, (off_t)file->size);
    int error = n < 0 ? errno : ENOSPC;

    if (n == (ssize_t)size) {
        file->size += size;
        return 0;
    }
    return ftruncate(file->fd, (off_t)file->size) < 0 ? -errno : -error;
}

/* The name of the file while it is written. The caller frees it; NULL: no memory. */
static char *name_of_new(const char *path) {
    char *name;

    return asprintf(&name, "%s.new", path) < 0 ? NULL : name;
}

/*
 * Begins a new file, which is at @path after live_file_commit(). All users can read it. @path must
 * live as long as @file. Returns 0 or a negative errno; live_file_deinit() gives back what it
 * holds.
 */
int live_file_begin(struct live_file *file, const char *path) {
    CLEANUP_FREE char *name = name_of_new(path);

    *file = (struct live_file){.path = path, .fd = -1};
    if (name == NULL)
        return -ENOMEM;
    file->fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (file->fd < 0 || fchmod(file->fd, 0644) < 0)
        return -errno;
    return bytes_add(file, LIVE_HEADER, strlen(LIVE_HEADER));
}

/* Puts the file in the place of the one before. Returns 0 or a negative errno. */
int live_file_commit(const struct live_file *file) {
    CLEANUP_FREE char *name = name_of_new(file->path);

    if (name == NULL)
        return -ENOMEM;
    return rename(name, file->path) < 0 ? -errno : 0;
}

/* Appends @command. Returns 0 with its place; a negative errno, and nothing is there. */
int live_file_add(struct live_file *file, const struct live_command *command,
                  struct live_place *placep) {
    char line[LIVE_LINE_SIZE];
    size_t length = line_format(line, command);
    struct live_place place = {.offset = file->size, .length = (uint32_t)length};
    int r = bytes_add(file, line, length);

    if (r == 0)
        *placep = place;
    return r;
}

/* Changes the state of the command at @place. A byte that is there can be written: no space is
 * needed. */
void live_file_mark(struct live_file *file, const struct live_place *place, enum live_state state) {
    const char byte = (char)state;

    if (pwrite(file->fd, &byte, 1, (off_t)place->offset) != 1)
        file->is_wrong = true;
    else if (state == LIVE_GONE)
        file->n_gone += place->length;
}

/* True if most of the file is about commands that are gone, or if it says of one that it lives. */
bool live_file_wants_rewrite(const struct live_file *file) {
    return file->is_wrong || (file->size > REWRITE_SIZE && file->n_gone > file->size / 2);
}

void live_file_deinit(struct live_file *file) {
    base_close_fd(&file->fd);
}

/*
 * Calls @function for each command of the file at @path that is not gone. Returns 0, also if there
 * is no file; -EBADMSG if a line is malformed, after all others; another negative errno.
 */
int live_file_read(const char *path, live_file_function function, void *context) {
    CLEANUP_FREE char *text = NULL;
    struct live_command command;
    int r = proc_file_read(AT_FDCWD, path, &text);
    char *line, *end;

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (strncmp(text, LIVE_HEADER, strlen(LIVE_HEADER)) != 0)
        return -EBADMSG;
    for (line = text + strlen(LIVE_HEADER); (end = strchr(line, '\n')) != NULL; line = end + 1) {
        char after = end[1];

        end[1] = '\0';
        if (!live_parse(line, &command))
            r = -EBADMSG;
        else if (command.state != LIVE_GONE)
            function(context, &command);
        end[1] = after;
    }
    return r;
}
