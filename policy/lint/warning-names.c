#include "policy/lint/warning-names.h"

#include <string.h>

#include "utsbroker/base.h"

/* Returns what the warning is about whose name the @length bytes at @name are. */
enum warning_scope warning_name_find(const char *name, size_t length) {
    static const struct {
        const char *name;
        enum warning_scope scope;
    } names[] = {
        /* list: warning names */
        {"address", WARNING_OF_RULE},      {"allow", WARNING_OF_COMMENT},
        {"case", WARNING_OF_RULE},         {"clause", WARNING_OF_RULE},
        {"comment", WARNING_OF_COMMENT},   {"dotted-deny", WARNING_OF_RULE},
        {"every-name", WARNING_OF_RULE},   {"ignored", WARNING_OF_NOTHING},
        {"late", WARNING_OF_RULE},         {"masked", WARNING_OF_FILE},
        {"no-match", WARNING_OF_RULE},     {"range", WARNING_OF_RULE},
        {"regexp", WARNING_OF_RULE},       {"set", WARNING_OF_RULE},
        {"setuid", WARNING_OF_RULE},       {"unknown", WARNING_OF_RULE},
        {"unreachable", WARNING_OF_RULE},  {"unreadable", WARNING_OF_NOTHING},
        {"untrusted", WARNING_OF_NOTHING},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(names); i++)
        if (strlen(names[i].name) == length && memcmp(names[i].name, name, length) == 0)
            return names[i].scope;
    return WARNING_OF_NOTHING;
}
