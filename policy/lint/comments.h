#pragma once

/*
 * Comments that are about warnings: "# check: allow NAME..." on the line of a rule silences the
 * warnings of these names for this rule. On a line of its own it is about the whole file. The
 * parser does not see comments, so they cannot change what a policy permits.
 */

#include <stdbool.h>
#include <stddef.h>

#include "policy/rules.h"

/* One name in one comment. */
struct allowance {
    char *name;
    unsigned rule_line;    /* where the rule begins, which ends at @line; 0: it is about the file */
    unsigned line, column; /* of the name */
    bool is_used;
};

/* The names in the comments of one file, in the order of their lines. */
struct comments {
    const char *file;
    struct allowance *list;
    size_t n, room;
};

int comments_read(struct comments *comments, const char *text, size_t size, policy_report report,
                  void *context);
bool comments_silence(struct comments *comments, const struct policy_error *warning);
void comments_report_unused(const struct comments *comments, bool knows_users, policy_report report,
                            void *context);
void comments_deinit(struct comments *comments);

#define CLEANUP_COMMENTS __attribute__((cleanup(comments_deinit)))
