#pragma once

/* One attempt to run a command under its names, in either mode: what utsrun and utsrsh share. */

#include <stdbool.h>
#include <stdint.h>

#include "launcher/options.h"
#include "launcher/refusal.h"

uint32_t attempt_find_closed_stdio(void);
bool attempt_has_ambiguous_ids(void);
void attempt_run(const struct options *options, uint32_t closed_stdio, struct refusal *refusalp);
