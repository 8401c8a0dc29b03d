#include "launcher/error.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Returns the text of @error, an errno. musl has none for ETOOMANYREFS. */
const char *error_describe(int error) {
    return error == ETOOMANYREFS ? "Too many references" : strerror(error);
}

/*
 * Returns what to do if @error, an errno, says that a resource is short; NULL if it says anything
 * else.
 */
const char *error_find_fix(int error) {
    switch (error) {
    case EAGAIN:
        return "too many processes: end some, or raise the limit (ulimit -u, a cgroup's pids.max)";
    case EMFILE:
    case ENFILE:
        return "too many open files: close some, or raise the limit (ulimit -n)";
    case ENOMEM:
        return "not enough memory: end some processes, or raise the limit (ulimit -v, a cgroup's "
               "memory.max)";
    case EFBIG:
        return "the limit of file sizes is too low: raise it (ulimit -f)";
    case E2BIG:
        return "use fewer arguments, or a smaller environment";
    case ETOOMANYREFS:
        return "too many descriptors are sent and not yet received: try again, or raise the limit "
               "(ulimit -n)";
    default:
        return NULL;
    }
}
