#include "policy/tool/read-text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Reads the whole @file; - is standard input. Returns 0; -EFBIG if it is larger than @max bytes;
 * another negative errno. The caller frees *@textp in each case.
 */
int read_text(const char *file, size_t max, char **textp, size_t *sizep) {
    bool is_stdin = strcmp(file, "-") == 0;
    FILE *in = is_stdin ? stdin : fopen(file, "re");
    FILE *copy = in != NULL ? open_memstream(textp, sizep) : NULL;
    char buffer[4096];
    size_t n, total = 0;
    int r = 0;

    if (copy == NULL) {
        r = -errno;
        if (in != NULL && !is_stdin)
            (void)fclose(in);
        return r;
    }
    errno = 0;
    while (total <= max && (n = fread(buffer, 1, sizeof(buffer), in)) > 0) {
        total += n;
        (void)fwrite(buffer, 1, n, copy);
    }
    if (ferror(in) != 0)
        r = errno != 0 ? -errno : -EIO;
    else if (total > max)
        r = -EFBIG;
    if (!is_stdin)
        (void)fclose(in);
    return fclose(copy) != 0 && r == 0 ? -ENOMEM : r;
}
