#pragma once

/* Messages to people on standard error: one line, what was asked, why not, what to do now. */

__attribute__((format(printf, 1, 2))) void message(const char *format, ...);
void message_redirect(int fd);
void message_failure(const char *what, int error, const char *fix);
