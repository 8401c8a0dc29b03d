#pragma once

/*
 * What utspolicy says to programs (utspolicy(1), "JSON"): keys stay as they are, new ones may
 * come. jansson (jansson(3)) writes it; every function here returns a new reference, or NULL
 * without memory.
 */

#include <jansson.h>

#include "policy/rules.h"
#include "policy/tool/findings.h"

json_t *json_of_rule(const struct policy *policy, const struct policy_rule *rule);
json_t *json_of_findings(const struct findings *findings, enum policy_severity severity);
json_t *json_of_text(const char *text);
int json_show(json_t *object);
