#pragma once

/* Loads a seccomp filter that filter-table.c has compiled. */

#include <linux/filter.h>
#include <stddef.h>

int filter_load(const struct sock_filter *table, size_t n);
