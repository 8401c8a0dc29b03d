#pragma once

/* The text of an errno, without a system call. */

const char *error_text(int error);
