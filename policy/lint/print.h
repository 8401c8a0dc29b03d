#pragma once

/* Rules as text, in the words of the policy language. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "policy/rules.h"

char *print_to_text(void (*print)(FILE *out, const struct policy *policy,
                                  const struct policy_rule *rule),
                    const struct policy *policy, const struct policy_rule *rule);
bool print_is_same_word(const struct policy *policy, const struct policy_rule *rule, size_t i);
void print_operand(FILE *out, const char *word, bool is_pattern);
void print_subjects(FILE *out, const struct policy *policy, const struct policy_rule *rule);
void print_clauses(FILE *out, const struct policy *policy, const struct policy_rule *rule);
void print_rule(FILE *out, const struct policy *policy, const struct policy_rule *rule);
