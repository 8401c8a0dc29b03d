#include "policy/lint/name-fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/lint/readable.h"

static bool char_is_valid(char c) {
    return name_char_is_alphanumeric(c) || c == '-' || c == '.';
}

__attribute__((format(printf, 3, 4))) static bool
set_fault(struct name_fault *fault, size_t position, const char *what, ...) {
    va_list arguments;

    fault->position = position;
    va_start(arguments, what);
    (void)vsnprintf(fault->what, sizeof(fault->what), what, arguments);
    va_end(arguments);
    return true;
}

/* Returns what to remember about a character that people often write into a name; "": nothing. */
static const char *get_hint(const char *at) {
    if (strncmp(at, "://", 3) == 0)
        return " (a request has a host name, not a URL)";
    switch (*at) {
    case '*':
    case '?':
    case '[':
    case ']':
        return " (a request has one name, not a pattern)";
    case '/':
        return " (a request has a host name, not a path)";
    case '@':
        return " (a request has a host name, not a user)";
    case ':':
        return " (a request has a host name, not a port)";
    default:
        return "";
    }
}

/* Finds the first character that no host name has. */
static bool find_wrong_character(const char *name, struct name_fault *fault) {
    char description[64];
    size_t position = 1;

    for (size_t length; *name != '\0'; name += length, position++) {
        length = readable_describe(name, description, sizeof(description));
        if (!char_is_valid(*name))
            return set_fault(fault, position, "%s at position %zu%s", description, position,
                             get_hint(name));
    }
    return false;
}

/* Finds the first label that is no label. All characters are valid, so each is one byte. */
static bool find_wrong_label(const char *name, struct name_fault *fault) {
    size_t at = 0;

    for (;;) {
        size_t length = strcspn(name + at, ".");

        if (length == 0 && at == 0)
            return set_fault(fault, 1, "it begins with a dot");
        if (length == 0 && name[at] == '\0')
            return set_fault(fault, at, "it ends with a dot");
        if (length == 0)
            return set_fault(fault, at, "two dots in a row at position %zu", at);
        if (name[at] == '-')
            return set_fault(fault, at + 1, "a label begins with '-' at position %zu", at + 1);
        if (name[at + length - 1] == '-')
            return set_fault(fault, at + length, "a label ends with '-' at position %zu",
                             at + length);
        if (length > NAME_LABEL_MAX)
            return set_fault(fault, at + 1, "a label of %zu bytes at position %zu, at most %d",
                             length, at + 1, NAME_LABEL_MAX);
        if (name[at + length] == '\0')
            return false;
        at += length + 1;
    }
}

/*
 * Says what keeps @name from being a valid host name (RFC 1123). Returns false if it is one.
 */
bool name_fault_find(const char *name, struct name_fault *fault) {
    size_t length = strlen(name);

    if (name_is_rfc1123(name))
        return false;
    if (length == 0)
        return set_fault(fault, 0, "it is empty");
    if (find_wrong_character(name, fault) || find_wrong_label(name, fault))
        return true;
    return set_fault(fault, 0, "it has %zu bytes, at most %d", length, NAME_LENGTH_MAX);
}

/* Sets *@fromp and *@endp to the host in a URL, user@host, or host:port; else leaves all. */
static void find_host(const char **fromp, const char **endp) {
    const char *scheme = strstr(*fromp, "://"), *at;
    size_t length;

    if (scheme != NULL)
        *fromp = scheme + 3;
    length = strcspn(*fromp, scheme != NULL ? "/?#" : "/");
    *endp = *fromp + length;
    at = memchr(*fromp, '@', length);
    if (at != NULL)
        *fromp = at + 1;
    at = memchr(*fromp, ':', (size_t)(*endp - *fromp));
    if (at != NULL && strspn(at + 1, "0123456789") == (size_t)(*endp - at - 1))
        *endp = at;
}

/*
 * Returns what was meant by the character of @length bytes at @at: @blank for an underscore or a
 * space, a hyphen for what looks like one, '\0' for what is left out, '?' for what nobody can tell.
 */
static char replace(const char *at, size_t length, char blank) {
    static const char *const hyphens[] = {"\u2010", "\u2011", "\u2012", "\u2013",
                                          "\u2014", "\u2015", "\u2212"};
    static const char *const blanks[] = {"\u00a0", "\u200b", "\u200c",
                                         "\u200d", "\u2060", "\ufeff"};

    if (char_is_valid(*at))
        return *at;
    if (*at == '_' || *at == ' ')
        return blank;
    for (size_t i = 0; i < sizeof(hyphens) / sizeof(hyphens[0]); i++)
        if (strlen(hyphens[i]) == length && memcmp(at, hyphens[i], length) == 0)
            return '-';
    for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++)
        if (strlen(blanks[i]) == length && memcmp(at, blanks[i], length) == 0)
            return '\0';
    return (*at > '\0' && *at < ' ') || *at == '\x7f' ? '\0' : '?';
}

static bool is_edge(char c) {
    return c == '-' || c == '.';
}

/*
 * Writes to @fixed a valid host name that @name probably means: node-1.test for node_1.test, and
 * node1.test for "node1.test.", "http://node1.test/" and "alice@node1.test:22". @blank stands for
 * underscores and spaces, a hyphen, or '\0' to leave them out. Returns false if @name is valid, or
 * if it is not clear what it means.
 */
bool name_fault_fix(const char *name, char blank, char fixed[NAME_LENGTH_MAX + 1]) {
    const char *end = name + strlen(name);
    char description[64], meant[NAME_LENGTH_MAX + 8]; /* room for what is cut off at the end */
    size_t n = 0;

    if (name_is_rfc1123(name))
        return false;
    find_host(&name, &end);
    for (size_t length; name < end; name += length) {
        char c;

        length = readable_describe(name, description, sizeof(description));
        c = replace(name, length, blank);
        if (c == '?' || n + 1 == sizeof(meant))
            return false;
        if (c == '\0' || (is_edge(c) && (n == 0 || meant[n - 1] == '.')))
            continue; /* nothing, or a hyphen or a dot where a label begins */
        while (c == '.' && n > 0 && meant[n - 1] == '-')
            n--;
        meant[n++] = c;
    }
    while (n > 0 && is_edge(meant[n - 1]))
        n--;
    meant[n] = '\0';
    if (!name_is_rfc1123(meant))
        return false;
    memcpy(fixed, meant, n + 1);
    return true;
}
