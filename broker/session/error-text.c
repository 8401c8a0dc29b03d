/* The text of an errno, for a process behind the seccomp filter. Runs in the session. */

#include "broker/session/error-text.h"

#include <string.h>

/*
 * Returns the English text of @error, a static string. Makes no system call and allocates nothing:
 * glibc's strerror(3) may translate, which opens files, but its strerrordesc_np(3) (2.32) only
 * looks the text up. So does musl's strerror(3), as the broker never calls setlocale(3).
 */
const char *error_text(int error) {
#ifdef __GLIBC__
    const char *text = strerrordesc_np(error);
#else
    const char *text = strerror(error);
#endif

    return text != NULL ? text : "unknown error";
}
