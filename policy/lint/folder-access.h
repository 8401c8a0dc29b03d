#pragma once

/* Whether all users can reach the policy's folders: the broker reads them as the user who asks. */

#include "policy/rules.h"

int folder_access_check(const char *const *paths, size_t n_paths, policy_report report,
                        void *context);
