#pragma once

/* Finds out, about this process and the broker's file, what a refusal comes from. */

const char *diagnose_missing_capability(void);
const char *diagnose_invalid_policy(void);
