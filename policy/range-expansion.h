#pragma once

/*
 * Expands a word with host ranges into patterns without ranges: node[01-16] into node0[1-9] and
 * node1[0-6]. Allocates nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/host-range.h"

enum {
    RANGE_PIECE_MAX = 96, /* what stands in the place of a range; the longest is 18 times [0-9] */
    RANGE_TEXT_MAX = HOST_RANGE_OUTSIDE_MAX + HOST_RANGE_BRACKETS_MAX * RANGE_PIECE_MAX,
};

/* One range of the word, and how far its expansion has come. */
struct range_bracket {
    const char *start, *end; /* its [, and the byte after its ] */
    const char *rest;        /* the elements of its list that come later, or its ] */
    uint64_t low, high;      /* what is left of the element; if low > high nothing is */
    unsigned width;          /* digits of each number of the element; 0: no leading zeros */
    bool is_set;             /* its piece is the bracket itself, read as a set */
};

struct range_expansion {
    const char *word;
    bool with_sets, has_ended;
    size_t n_brackets;
    struct range_bracket brackets[HOST_RANGE_BRACKETS_MAX];
    /* What stands in their place. Apart, so that no mistake in writing one reaches a pointer. */
    char pieces[HOST_RANGE_BRACKETS_MAX][RANGE_PIECE_MAX + 1];
};

void range_expansion_begin(struct range_expansion *expansion, const char *word, bool with_sets);
size_t range_expansion_next(struct range_expansion *expansion, char *text, bool *is_setp);
