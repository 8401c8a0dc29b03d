#pragma once

/* The errors and warnings of a policy: collected, and printed with the lines they are in. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "policy/rules.h"
#include "policy/tool/given-files.h"
#include "policy/tool/options.h"

struct findings {
    struct policy_error *list; /* @file is a copy; @kind is a constant */
    size_t n, room;
    size_t n_errors;
    bool is_out_of_memory;
    const struct given_files *given; /* check: NULL if none are given */
};

void findings_add(void *context, const struct policy_error *found);
void findings_forget(struct policy_error *found);
void findings_sort(struct findings *findings);
bool findings_are_given(const struct findings *findings, const char *file);
size_t findings_count(const struct findings *findings, enum policy_severity severity,
                      bool is_given);
void findings_print(const struct findings *findings, FILE *out);
void findings_deinit(struct findings *findings);

int findings_load_policy(struct policy *policy, const struct tool_options *options, unsigned flags,
                         struct findings *findings);

#define CLEANUP_FINDINGS __attribute__((cleanup(findings_deinit)))
