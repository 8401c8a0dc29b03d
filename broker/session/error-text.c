/* The text of an errno, for a process behind the seccomp filter. Runs in the session. */

#include "broker/session/error-text.h"

#include <string.h>

/*
 * Returns the English text of @error, a static string. Makes no system call and allocates nothing:
 * glibc's strerror(3) may translate, which opens files, but its strerrordesc_np(3) (2.32) only
 * looks the text up. So do strerror(3) of older versions and of musl, as the broker never calls
 * setlocale(3).
 */
const char *error_text(int error) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 32)
    const char *text = strerrordesc_np(error);
#else
    const char *text = strerror(error);
#endif

    return text != NULL ? text : "unknown error";
}
