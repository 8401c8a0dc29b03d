#pragma once

/* The command line of utspolicy. */

#include <stdbool.h>
#include <stddef.h>

enum tool_exit {
    TOOL_YES = 0,    /* clean, permitted */
    TOOL_NO = 1,     /* warnings with --strict, denied */
    TOOL_FAILED = 2, /* errors in the policy or on the command line */
};

/* Which way a request would take: some rules are obeyed by one of the two only. */
enum tool_via { TOOL_VIA_ANY, TOOL_VIA_DIRECT, TOOL_VIA_SERVICE };

/* Of which kind the names are that are listed instead of rules. */
enum tool_names { TOOL_NAMES_NONE, TOOL_NAMES_HOST, TOOL_NAMES_DOMAIN };

enum { TOOL_FOLDERS_MAX = 16, TOOL_GROUPS_MAX = 256 };

struct tool_options {
    const char *folders[TOOL_FOLDERS_MAX];
    size_t n_folders;
    bool has_own_folders; /* by --policy-dir */
    bool is_json, is_strict, is_brief, is_nearest, is_in_place;
    enum tool_via via;
    enum tool_names names; /* list: only these, as a program completes them */
    bool is_self;          /* the user and groups of this process */
    const char *user;      /* NULL: nobody was named */
    const char *groups[TOOL_GROUPS_MAX];
    size_t n_groups;
    const char *hostname, *domainname;
    const char *file;
};

/* Each does what its name says with what the command line has, and returns an enum tool_exit. */
int check_run(const struct tool_options *options);
int explain_run(const struct tool_options *options);
int list_run(const struct tool_options *options);
int format_run(const struct tool_options *options);
