#pragma once

/* What to write instead of a word that the parser rejects. */

#include "policy/rules.h"

void advice_add(struct policy_error *error);
