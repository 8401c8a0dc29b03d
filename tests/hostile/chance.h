#pragma once

/* Pseudo-random numbers that can be repeated: the same seed, never 0, gives the same numbers. */

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
