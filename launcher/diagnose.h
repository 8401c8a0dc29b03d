#pragma once

/* Finds the reason of a refusal in this process and in the broker's file. */

const char *diagnose_find_obstacle(void);
const char *diagnose_missing_capability(void);
const char *diagnose_invalid_policy(void);
