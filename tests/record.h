#pragma once

/*
 * The records of each version of the protocol, as its launcher and broker sent them on a
 * little-endian machine: tests/unit/records/VERSION-NAME, in hexadecimal digits. They are never
 * changed. A new version of the protocol adds its own.
 */

#include <stdbool.h>
#include <stddef.h>

enum { RECORD_SIZE_MAX = 1024 };

static inline bool record_has_byte_order(void) {
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
}

size_t record_read(unsigned version, const char *name, unsigned char *bytes);
