#pragma once

/*
 * The JSON output of utspolicy, for programs (utspolicy(1), "JSON"): keys never change, new keys
 * may be added. It is written with jansson. A function that returns a json_t * returns a new
 * reference, or NULL without memory.
 */

#include <jansson.h>

#include "policy/rules.h"
#include "policy/tool/findings.h"

json_t *json_of_rule(const struct policy *policy, const struct policy_rule *rule);
json_t *json_of_findings(const struct findings *findings, enum policy_severity severity);
json_t *json_of_text(const char *text);
int json_show(json_t *object);
