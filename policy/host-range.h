#pragma once

/*
 * Host ranges in a pattern, as Slurm, pdsh and clush write them: node[01-16], n[1-4,7,10-12]. A
 * pattern with ranges is expanded into patterns without ranges: node0[1-9], node1[0-6]. Pure
 * functions of strings, which allocate nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HOST_RANGE_BRACKETS_MAX = 8,  /* ranges in one word */
    HOST_RANGE_DIGITS_MAX = 18,   /* of a number: it fits in 64 bits */
    HOST_RANGE_OUTSIDE_MAX = 256, /* bytes of a word that are not in a range */
    HOST_RANGE_PIECE_MAX = 96,    /* what stands in the place of a range; at most 18 times [0-9] */
    HOST_RANGE_TEXT_MAX = HOST_RANGE_OUTSIDE_MAX + HOST_RANGE_BRACKETS_MAX * HOST_RANGE_PIECE_MAX,
};

/* One range of the word, and how far its expansion has come. */
struct host_range_bracket {
    const char *start, *end; /* its [, and the byte after its ] */
    const char *rest;        /* the elements of its list that come later, or its ] */
    uint64_t low, high;      /* what is left of the element; if low > high nothing is */
    unsigned width;          /* digits of each number of the element; 0: without leading zeros */
    bool is_set;             /* the piece is the bracket itself, read as a set */
    char piece[HOST_RANGE_PIECE_MAX + 1];
};

struct host_range {
    const char *word;
    bool with_sets, has_ended;
    size_t n_brackets;
    struct host_range_bracket brackets[HOST_RANGE_BRACKETS_MAX];
};

size_t host_range_get_length(const char *bracket);
bool host_range_is_lone_number(const char *bracket);
const char *host_range_find(const char *word);
const char *host_range_find_error(const char *word, size_t *offsetp);
void host_range_begin(struct host_range *range, const char *word, bool with_sets);
size_t host_range_next(struct host_range *range, char *text, bool *is_setp);
