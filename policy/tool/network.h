#pragma once

/* An IPv4 network, and the addresses in it that can be given to names. Addresses in host order. */

#include <stdint.h>

struct network {
    uint32_t first, last; /* the network address and the broadcast address */
};

const char *network_parse(const char *text, struct network *network);
uint32_t network_count(const struct network *network);
uint32_t network_next(const struct network *network, uint32_t address);
