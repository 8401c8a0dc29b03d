#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/lint/format.h"
#include "policy/tool/findings.h"
#include "policy/tool/options.h"
#include "policy/tool/read-text.h"
#include "utsbroker/base.h"

static int report_failure(const char *file, int error) {
    (void)fprintf(stderr, "utspolicy: %s: %s\n", file, strerror(-error));
    return TOOL_FAILED;
}

/*
 * Replaces @file with @text atomically, so that nobody reads an incomplete file: it writes a new
 * file with the same owner and mode, and renames it. The temporary name does not end in .conf, so
 * the broker ignores it. Returns 0 or a negative errno.
 */
static int replace_text(const char *file, const char *text, size_t size) {
    CLEANUP_FREE char *name = NULL;
    CLEANUP_FD int fd = -1;
    struct stat status;
    int r = 0;

    if (lstat(file, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    if (asprintf(&name, "%s.XXXXXX", file) < 0) {
        name = NULL;
        return -ENOMEM;
    }
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < size && r == 0;) {
        ssize_t n = write(fd, text + done, size - done);

        if (n < 0)
            r = -errno;
        else
            done += (size_t)n;
    }
    if (r == 0 &&
        ((geteuid() == 0 && fchown(fd, status.st_uid, status.st_gid) < 0) ||
         fchmod(fd, status.st_mode & 07777) < 0 || fsync(fd) < 0 || rename(name, file) < 0))
        r = -errno;
    if (r < 0)
        (void)unlink(name);
    return r;
}

int format_run(const struct tool_options *options) {
    CLEANUP_FINDINGS struct findings findings = {.n = 0};
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *formatted = NULL;
    size_t size = 0, formatted_size = 0;
    FILE *out;
    int r = read_text(options->files[0], SIZE_MAX - 1, &text, &size);

    if (r < 0)
        return report_failure(options->files[0], r);
    out = open_memstream(&formatted, &formatted_size);
    if (out == NULL)
        return report_failure(options->files[0], -errno);
    r = format_text(out, options->files[0], text, size, findings_add, &findings);
    if (fclose(out) != 0 && r == 0)
        r = -ENOMEM;
    if (r < 0)
        return report_failure(options->files[0], r);
    if (r > 0) {
        findings_print(&findings, stderr);
        return TOOL_FAILED;
    }
    if (options->is_in_place && (formatted_size != size || memcmp(formatted, text, size) != 0))
        r = replace_text(options->files[0], formatted, formatted_size);
    if (!options->is_in_place &&
        (fwrite(formatted, 1, formatted_size, stdout) != formatted_size || fflush(stdout) != 0))
        r = -EIO;
    return r < 0 ? report_failure(options->files[0], r) : TOOL_YES;
}
