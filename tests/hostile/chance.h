#pragma once

/* Chance that can be had again: the same numbers for the same seed, which is never 0. */

#include <stddef.h>
#include <stdint.h>

/* xorshift64. */
static inline uint64_t chance_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline size_t chance_below(uint64_t *state, size_t limit) {
    return (size_t)(chance_next(state) % limit);
}
