#pragma once

/* Why the broker was started without the capability that its file should give it. */

const char *diagnose_missing_capability(void);
