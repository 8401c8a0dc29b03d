#pragma once

/* What every fuzz target needs. One input is one call of LLVMFuzzerTestOneInput(). */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utsbroker/base.h"

/* What may never be: libFuzzer keeps the input that led here. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The input from the front, piece by piece. */
struct input {
    const uint8_t *at, *end;
};

static inline uint8_t input_byte(struct input *input) {
    return input->at < input->end ? *input->at++ : 0;
}

/* Up to the next NUL, or the end; the caller frees it. */
static inline char *input_string(struct input *input) {
    size_t size = (size_t)(input->end - input->at), length = strnlen((const char *)input->at, size);
    char *string = strndup((const char *)input->at, length);

    MUST(string != NULL);
    input->at += length < size ? length + 1 : length;
    return string;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
