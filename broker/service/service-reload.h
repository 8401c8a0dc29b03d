#pragma once

/* The service's side of a reload: when, and with what (reload.h). */

#include "broker/service/service-internal.h"

void service_want_reload(struct service *service);
bool service_is_reloading(const struct service *service);
void service_reload_if_possible(struct service *service);
void service_restore(struct service *service, const struct handover *handover);
