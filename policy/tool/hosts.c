#include <arpa/inet.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/name-pattern.h"
#include "policy/tool/names.h"
#include "policy/tool/network.h"
#include "utsbroker/base.h"

/* A line of hosts(5). */
struct host {
    const char *name;
    char short_name[NAME_LABEL_MAX + 1]; /* the first label; "": not on this line */
};

struct hosts {
    struct host *all;
    size_t n;
    size_t n_invalid; /* names that hosts(5) cannot have */
    void *resolved;   /* a tree (tsearch(3)) of the names of all lines */
};

static void keep_name(void *name) {
    (void)name; /* it is part of a host, or of the list */
}

static void hosts_deinit(struct hosts *hosts) {
    tdestroy(hosts->resolved, keep_name);
    free(hosts->all);
}

#define CLEANUP_HOSTS __attribute__((cleanup(hosts_deinit)))

/* False for what a resolver takes for an address, as "10" and "10.0.0.1", and never looks up. */
static bool can_be_looked_up(const char *name) {
    struct in_addr address;

    return name_is_rfc1123(name) && inet_aton(name, &address) == 0;
}

/* Adds @name, unless an earlier line has it. Returns 1 if it is new, 0 if not, or -1. */
static int resolve(struct hosts *hosts, const char *name) {
    const char *const *node = tsearch(name, &hosts->resolved, name_list_compare);

    return node == NULL ? -1 : *node == name;
}

/*
 * Makes a line of @name. A short name belongs to the first line that has it: hosts(5) is read from
 * above, and lines that are there must stay when names are added below. Returns 0, or -1 without
 * memory.
 */
static int add_host(struct hosts *hosts, const char *name) {
    struct host *host = &hosts->all[hosts->n];
    size_t length = strcspn(name, ".");
    int is_new;

    if (!can_be_looked_up(name)) {
        hosts->n_invalid++;
        return 0;
    }
    is_new = resolve(hosts, name);
    if (is_new <= 0)
        return is_new;
    host->name = name;
    hosts->n++;
    if (name[length] == '\0')
        return 0;
    memcpy(host->short_name, name, length);
    host->short_name[length] = '\0';
    is_new = can_be_looked_up(host->short_name) ? resolve(hosts, host->short_name) : 0;
    if (is_new == 0)
        host->short_name[0] = '\0';
    return is_new < 0 ? -1 : 0;
}

static int hosts_init(struct hosts *hosts, const struct name_list *list) {
    hosts->all = calloc(list->n + 1, sizeof(*hosts->all));
    if (hosts->all == NULL)
        return -1;
    for (size_t i = 0; i < list->n; i++)
        if (add_host(hosts, list->names[i]) < 0)
            return -1;
    return 0;
}

static void print_hosts(const struct hosts *hosts, const struct network *network) {
    uint32_t address = 0;

    for (size_t i = 0; i < hosts->n; i++) {
        const struct host *host = &hosts->all[i];
        char text[INET_ADDRSTRLEN];
        struct in_addr in;

        address = network_next(network, address);
        in.s_addr = htonl(address);
        (void)printf("%s %s%s%s\n", inet_ntop(AF_INET, &in, text, sizeof(text)), host->name,
                     host->short_name[0] != '\0' ? " " : "", host->short_name);
    }
}

int hosts_run(const struct tool_options *options) {
    CLEANUP_NAME_LIST struct name_list list = {.n = 0};
    CLEANUP_HOSTS struct hosts hosts = {.n = 0};
    const char *text = options->network != NULL ? options->network : "127.0.1.0/24";
    struct network network;
    const char *wrong = network_parse(text, &network);
    int r;

    if (wrong != NULL) {
        (void)fprintf(stderr, "utspolicy: --network %s: it %s\n", text, wrong);
        return TOOL_FAILED;
    }
    if (names_load(&list, options, POLICY_HOSTNAME, false) != 0)
        return TOOL_FAILED;
    if (hosts_init(&hosts, &list) < 0) {
        (void)fputs("utspolicy: out of memory\n", stderr);
        return TOOL_FAILED;
    }
    if (hosts.n > network_count(&network)) {
        (void)fprintf(stderr,
                      "utspolicy: %s has addresses for %u of %zu names; use a larger network, such "
                      "as --network %s\n",
                      text, (unsigned)network_count(&network), hosts.n,
                      hosts.n < 65000 ? "127.1.0.0/16" : "127.64.0.0/10");
        return TOOL_FAILED;
    }
    print_hosts(&hosts, &network);
    r = names_finish(&list);
    if (r == 0 && hosts.n_invalid > 0)
        (void)fprintf(stderr,
                      "utspolicy: not listed: %zu name%s that no resolver looks up (not a valid "
                      "host name, or an address)\n",
                      hosts.n_invalid, hosts.n_invalid == 1 ? "" : "s");
    return r;
}
