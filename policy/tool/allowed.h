#pragma once

/* Warnings that comments of the policy allow. */

#include "policy/tool/findings.h"

int allowed_remove(struct findings *findings, const struct policy *policy, bool knows_users);
