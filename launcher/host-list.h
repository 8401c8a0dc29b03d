#pragma once

/* A list of hosts where one is expected: utsrun runs one command, pdsh(1) runs many. */

#include <stdbool.h>
#include <stddef.h>

struct host_list_line {
    char text[768];
    size_t length;
    bool is_cut; /* it did not fit */
};

bool host_list_is(const char *name);
void host_list_begin(struct host_list_line *line, const char *hosts);
void host_list_add(struct host_list_line *line, const char *word, size_t n, const char *host);
void host_list_print(const struct host_list_line *line, const char *hosts);
