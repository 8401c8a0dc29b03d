#include "launcher/rsh-search.h"

#include <stdio.h>
#include <string.h>

/*
 * Writes the name to try after @n others: @host as it is, then, if it has no dot, with each suffix
 * of @search, which are separated by blanks or commas. Returns false if there is none, or it does
 * not fit.
 */
bool rsh_search_name(char *name, size_t size, const char *host, const char *search, size_t n) {
    static const char separators[] = " \t,";
    int length;

    if (n == 0) {
        length = snprintf(name, size, "%s", host);
        return length > 0 && (size_t)length < size;
    }
    if (strchr(host, '.') != NULL)
        return false;
    for (;;) {
        size_t n_suffix;

        search += strspn(search, separators);
        search += *search == '.';
        n_suffix = strcspn(search, separators);
        if (n_suffix == 0)
            return false;
        if (--n == 0) {
            length = snprintf(name, size, "%s.%.*s", host, (int)n_suffix, search);
            return length > 0 && (size_t)length < size;
        }
        search += n_suffix;
    }
}
