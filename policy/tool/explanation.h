#pragma once

/* Whether the policy permits the names of the command line, by which rule, or why not. */

#include "policy/decision.h"
#include "policy/lint/name-fault.h"
#include "policy/tool/options.h"

enum { NEAREST_MAX = 3 };

/* A rule that almost decided: only its subjects or only its names match. */
struct miss {
    const struct policy_rule *rule;
    char why[256];
};

/* What is wrong with a refused name that is not a valid host name (RFC 1123). */
struct wrong_name {
    bool is_host;
    struct name_fault fault;
    char fixed[NAME_LENGTH_MAX + 1]; /* the valid name that was probably meant; "": unknown */
    bool is_fixed_permitted;
};

struct explanation {
    const struct tool_options *options;
    const struct policy *policy;
    struct subject subject;
    struct selection selection;
    struct decision decision;
    bool needs_direct; /* permitted, but only in direct mode */
    /* The rules that permit each name alone, if no rule permits both names; else NULL. */
    const struct policy_rule *host_alone, *domain_alone;
    bool has_wrong_name;
    struct wrong_name wrong;
    char reason[512];
    struct miss *misses;
    size_t n_misses;
    const char *nearest[NEAREST_MAX];
    size_t n_nearest;
};

int explanation_init(struct explanation *explanation, const struct policy *policy,
                     const struct tool_options *options);
void explanation_deinit(struct explanation *explanation);
bool explanation_is_permitted(const struct explanation *explanation);

#define CLEANUP_EXPLANATION __attribute__((cleanup(explanation_deinit)))
