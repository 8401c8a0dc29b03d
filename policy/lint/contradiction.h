#pragma once

/* Why no valid host name (RFC 1123) can match a pattern. */

const char *contradiction_find(const char *pattern, char *invalidp);
