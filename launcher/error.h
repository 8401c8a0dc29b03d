#pragma once

/* What an errno means to people, and what they can do. */

const char *error_describe(int error);
const char *error_find_fix(int error);
