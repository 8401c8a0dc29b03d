#include "launcher/rsh-caller.h"

#include <stddef.h>
#include <string.h>

static bool is_equal(const char *a, const char *b) {
    return a != NULL && strcmp(a, b) == 0;
}

/* What /etc/passwd says. */
struct entries {
    bool has_name, has_uid; /* there is an entry with this name; with the caller's uid */
    bool has_both;          /* in one entry */
};

/* Reads passwd(5). Ignores a line that does not fit. */
static void entries_read(struct entries *entries, FILE *passwd, const char *name, uid_t uid) {
    char line[4096], found[256];
    unsigned number;

    while (fgets(line, sizeof(line), passwd) != NULL) {
        bool is_name, is_uid;

        if (sscanf(line, "%255[^:]:%*[^:]:%u", found, &number) != 2 &&
            sscanf(line, "%255[^:]::%u", found, &number) != 2)
            continue;
        is_name = strcmp(found, name) == 0;
        is_uid = number == uid;
        entries->has_name = entries->has_name || is_name;
        entries->has_uid = entries->has_uid || is_uid;
        entries->has_both = entries->has_both || (is_name && is_uid);
    }
}

static bool is_number_of(const char *name, uid_t uid) {
    char number[16];

    (void)snprintf(number, sizeof(number), "%u", (unsigned)uid);
    return strcmp(name, number) == 0;
}

/*
 * True if @name is the caller. @passwd is /etc/passwd, or NULL. If it has an entry for the name or
 * for the uid, it decides. A user of a directory service is in neither: then $USER and $LOGNAME,
 * which login(1) and su(1) set, must be that name; or the name is the uid. Nothing depends on that
 * but the message: whatever the name, the command runs as the caller.
 */
bool rsh_caller_is(const struct rsh_caller *caller, const char *name, FILE *passwd) {
    struct entries entries = {.has_name = false};

    if (passwd != NULL)
        entries_read(&entries, passwd, name, caller->uid);
    if (entries.has_both || is_number_of(name, caller->uid))
        return true;
    if (entries.has_name || entries.has_uid)
        return false;
    return is_equal(caller->user, name) || is_equal(caller->logname, name);
}
