#pragma once

/* Messages to people on standard error: one line, what was asked, why not, what to do now. */

enum { /* the exit codes of env(1), timeout(1) and docker */
       EXIT_UTSRUN_FAILED = 125,
       EXIT_CANNOT_EXECUTE = 126,
       EXIT_NOT_FOUND = 127,
};

__attribute__((format(printf, 1, 2))) void message(const char *format, ...);
void message_failure(const char *what, int error, const char *fix);
