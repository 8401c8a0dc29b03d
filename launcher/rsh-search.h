#pragma once

/* The names that utsrsh tries for a host, as the search list of resolv.conf(5) completes one. */

#include <stdbool.h>
#include <stddef.h>

bool rsh_search_name(char *name, size_t size, const char *host, const char *search, size_t n);
