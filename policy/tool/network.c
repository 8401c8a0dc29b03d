#include "policy/tool/network.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX_LEAST = 8, PREFIX_MOST = 30 };

/*
 * What other software has taken of the loopback network: localhost, and the address that Debian's
 * installer gives to the machine's own name (/etc/hosts).
 */
static const uint32_t taken[] = {0x7f000001, 0x7f000101};

/* Returns the number of one or two digits in @text, which is nothing else; -1 if it is not that. */
static int prefix_parse(const char *text) {
    size_t length = strspn(text, "0123456789");

    if (length == 0 || length > 2 || text[length] != '\0' || (text[0] == '0' && length > 1))
        return -1;
    return atoi(text);
}

/*
 * Reads a network such as "127.0.1.0/24". Returns NULL, or what is wrong with it and what to write.
 */
const char *network_parse(const char *text, struct network *network) {
    const char *slash = strchr(text, '/');
    char address[INET_ADDRSTRLEN];
    struct in_addr parsed;
    uint32_t first, hosts;
    int prefix;

    if (strchr(text, ':') != NULL)
        return "takes IPv4 only: IPv6 has one loopback address; write 127.0.1.0/24";
    if (slash == NULL)
        return "takes an address and a prefix length, as in 127.0.1.0/24";
    if ((size_t)(slash - text) >= sizeof(address))
        return "takes an IPv4 address, as in 127.0.1.0/24";
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    if (inet_pton(AF_INET, address, &parsed) != 1)
        return "takes an IPv4 address, as in 127.0.1.0/24";
    prefix = prefix_parse(slash + 1);
    if (prefix < PREFIX_LEAST || prefix > PREFIX_MOST)
        return "takes a prefix length from 8 to 30, as in 127.0.1.0/24";
    first = ntohl(parsed.s_addr);
    hosts = UINT32_MAX >> prefix;
    if ((first & hosts) != 0)
        return "takes the network's own address, whose bits after the prefix are 0, as in "
               "127.0.1.0/24";
    if (first >> 24 == 0 || first >> 24 >= 224)
        return "takes a network of hosts: addresses that begin with 0, or with 224 or more, are "
               "for other uses";
    *network = (struct network){.first = first, .last = first | hosts};
    return NULL;
}

static bool is_taken(uint32_t address) {
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (address == taken[i])
            return true;
    return false;
}

/* Returns the number of addresses that names can have. */
uint32_t network_count(const struct network *network) {
    uint32_t n = network->last - network->first - 1;

    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        n -= taken[i] > network->first && taken[i] < network->last;
    return n;
}

/* Returns the address for the next name; after the last one the network has none. */
uint32_t network_next(const struct network *network, uint32_t address) {
    address = address < network->first ? network->first + 1 : address + 1;
    while (is_taken(address))
        address++;
    return address;
}
