#pragma once

/* A policy of a test, which must be valid. */

#include "policy/parser.h"
#include "tests/test.h"

static inline void parse_fail(void *context, const struct policy_error *error) {
    fail_msg("%s:%u:%u: %s in:\n%s", error->file, error->line, error->column, error->message,
             (const char *)context);
}

/* Parses @text as the file @file; the test fails if it has an error. */
static inline void parse_valid(struct policy *policy, const char *file, const char *text) {
    assert_int_equal(
        policy_parse(policy, file, text, strlen(text), parse_fail, (void *)(uintptr_t)text), 0);
}
