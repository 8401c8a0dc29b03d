#pragma once

/* Replaces the program of the service by the one that is installed now, in the same process. */

#include "broker/service/handover.h"
#include "broker/service/reaper.h"

int reload_execute(const struct handover *handover, const char **whatp);
_Noreturn void reload_check(int memfd);
int reload_resume(struct handover *handover, int memfd);
_Noreturn void reload_wait_for_children(void);
