#pragma once

/* The command line of utspolicy. */

#include <stdbool.h>
#include <stddef.h>

enum tool_exit {
    TOOL_YES = 0,    /* no errors, permitted */
    TOOL_NO = 1,     /* warnings with --strict, denied */
    TOOL_FAILED = 2, /* errors in the policy or on the command line */
};

/* The mode of a request: some rules permit only in one mode. */
enum tool_via { TOOL_VIA_ANY, TOOL_VIA_DIRECT, TOOL_VIA_SERVICE };

/* The kind of names that are listed instead of rules. */
enum tool_names { TOOL_NAMES_NONE, TOOL_NAMES_HOST, TOOL_NAMES_DOMAIN };

enum { TOOL_FOLDERS_MAX = 16, TOOL_GROUPS_MAX = 256 };

struct tool_options {
    const char *folders[TOOL_FOLDERS_MAX];
    size_t n_folders;
    bool has_own_folders; /* set by --policy-dir */
    bool is_json, is_strict, is_brief, is_nearest, is_in_place;
    enum tool_via via;
    enum tool_names names; /* list: only these, for shell completion */
    bool is_self;          /* --self: the user and groups of this process */
    const char *user;      /* NULL: no --user */
    const char *groups[TOOL_GROUPS_MAX];
    size_t n_groups;
    const char *hostname, *domainname;
    const char *file;
};

/* The commands of utspolicy. Each returns an enum tool_exit. */
int check_run(const struct tool_options *options);
int explain_run(const struct tool_options *options);
int list_run(const struct tool_options *options);
int format_run(const struct tool_options *options);
