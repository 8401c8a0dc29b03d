#include "launcher/rsh-keyword.h"

#include <string.h>
#include <strings.h>

#include "utsbroker/base.h"

static const char blanks[] = " \t\r\n";

/*
 * Parses "KEY=VALUE" or "KEY VALUE", with blanks around and VALUE in double quotes or not. @text
 * must live as long as @assignment. False if there is no key or no value.
 */
bool rsh_assignment_parse(struct rsh_assignment *assignment, const char *text) {
    const char *key = text + strspn(text, blanks), *value;
    size_t n_key = strcspn(key, " \t\r\n="), n_value;

    value = key + n_key;
    value += strspn(value, blanks);
    if (*value == '=')
        value += 1 + strspn(value + 1, blanks);
    n_value = strlen(value);
    while (n_value > 0 && strchr(blanks, value[n_value - 1]) != NULL)
        n_value--;
    if (n_value >= 2 && value[0] == '"' && value[n_value - 1] == '"') {
        value++;
        n_value -= 2;
    }
    *assignment =
        (struct rsh_assignment){.key = key, .value = value, .n_key = n_key, .n_value = n_value};
    return n_key > 0 && n_value > 0;
}

/* The meaning of the keyword of @n bytes at @key; upper and lower case are the same. */
enum rsh_keyword rsh_keyword_find(const char *key, size_t n) {
    static const struct {
        const char *name;
        enum rsh_keyword keyword;
    } all[] = {
        {"DynamicForward", RSH_KEYWORD_FORWARDING},
        {"ForkAfterAuthentication", RSH_KEYWORD_FORK},
        {"HostName", RSH_KEYWORD_HOST_NAME},
        {"LocalForward", RSH_KEYWORD_FORWARDING},
        {"LogLevel", RSH_KEYWORD_LOG_LEVEL},
        {"Port", RSH_KEYWORD_PORT},
        {"ProxyCommand", RSH_KEYWORD_FORWARDING},
        {"ProxyJump", RSH_KEYWORD_FORWARDING},
        {"RemoteCommand", RSH_KEYWORD_REMOTE_COMMAND},
        {"RemoteForward", RSH_KEYWORD_FORWARDING},
        {"RequestTTY", RSH_KEYWORD_REQUEST_TTY},
        {"SessionType", RSH_KEYWORD_SESSION_TYPE},
        {"StdinNull", RSH_KEYWORD_STDIN_NULL},
        {"Tunnel", RSH_KEYWORD_FORWARDING},
        {"User", RSH_KEYWORD_USER},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(all); i++)
        if (strlen(all[i].name) == n && strncasecmp(all[i].name, key, n) == 0)
            return all[i].keyword;
    return RSH_KEYWORD_OTHER;
}
