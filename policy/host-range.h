#pragma once

/*
 * Host ranges in a pattern, as Slurm, pdsh and clush write them: node[01-16], n[1-4,7,10-12]. Which
 * brackets are ranges, and what is wrong with them. Pure functions of strings.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HOST_RANGE_BRACKETS_MAX = 8,  /* ranges in one word */
    HOST_RANGE_DIGITS_MAX = 18,   /* of a number: it fits in 64 bits */
    HOST_RANGE_OUTSIDE_MAX = 256, /* bytes of a word that are not in a range */
};

/* A number as it is written. */
struct host_range_number {
    const char *start;
    unsigned width; /* digits; larger than HOST_RANGE_DIGITS_MAX: too many, and no value */
    uint64_t value;
};

const char *host_range_find_end(const char *bracket);
size_t host_range_get_length(const char *bracket);
bool host_range_is_lone_number(const char *bracket);
const char *host_range_find_both(const char *word, const char **endp);
const char *host_range_find(const char *word);
struct host_range_number host_range_read_number(const char **atp);
const char *host_range_find_error(const char *word, size_t *offsetp);
